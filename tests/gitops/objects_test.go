package gitops

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The objects of the last run of the flows, one of each state. Without it only those in testdata are shown.
var fresh = os.Getenv("OPERATORCONNECT_OBJECTS")

// Takes the objects of testdata from the last run, and writes what is made from other files.
var update = flag.Bool("update", false, "renew testdata/objects from OPERATORCONNECT_OBJECTS, and write deploy/argocd/argocd-cm.yaml")

// A few objects, one for each way in which an object is shown, for those who run go test alone. A full run has all that its flows have left.

const golden = "testdata/objects"

// All kinds of the operator: those with a definition.
var kinds = defined()

func defined() []string {
	files, err := filepath.Glob("../../crds/*.yaml")
	if err != nil || len(files) == 0 {
		panic(fmt.Sprintf("no definitions in crds (%v)", err))
	}
	var kinds []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		var crd struct {
			Spec struct {
				Names struct {
					Kind string `json:"kind"`
				} `json:"names"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal(text, &crd); err != nil {
			panic(fmt.Sprintf("%s: %v", file, err))
		}
		kinds = append(kinds, crd.Spec.Names.Kind)
	}
	return kinds
}

// An object of the flows, and what the operator's own checker says of it.
type kept struct {
	file    string
	Object  *unstructured.Unstructured `json:"object"`
	Checker struct {
		Status     string   `json:"status"`
		Violations []string `json:"violations"`
	} `json:"checker"`
}

func load(folder string) ([]kept, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no objects in %s (%w)", folder, err)
	}
	var all []kept
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		one := kept{file: file}
		if err := json.Unmarshal(text, &one); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if !slices.Contains(kinds, one.Object.GetKind()) {
			return nil, fmt.Errorf("%s: a %s is no object of the operator", file, one.Object.GetKind())
		}
		all = append(all, one)
	}
	return all, nil
}

// The objects of testdata, and those of the last run of the flows when there was one.
func objects(t *testing.T) []kept {
	t.Helper()
	all, err := load(golden)
	if err != nil {
		t.Fatal(err)
	}
	if fresh != "" {
		more, err := load(fresh)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, more...)
	}
	return all
}

// The objects that show what the flows reach: those of the last run, and those of testdata only when there was none. What is kept in testdata must not stand in for a state that
// the flows of today reach no more.
func reached(t *testing.T) []kept {
	t.Helper()
	folder := golden
	if fresh != "" {
		folder = fresh
	}
	all, err := load(folder)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What a tool can see of an object.
type state struct {
	kind                  string
	seen, deleting        bool
	beside, ready, reason string
	message, held         string
}

func (s state) String() string {
	return fmt.Sprintf("%s: seen %t, deleting %t, beside %q, Ready %q, reason %q", s.kind, s.seen, s.deleting, s.beside, s.ready, s.reason)
}

// Reads a state off an object. This is not how the Lua reads it: that is what is tested.
func stateOf(object *unstructured.Unstructured) state {
	is := state{kind: object.GetKind(), deleting: object.GetDeletionTimestamp() != nil, beside: "nothing", ready: "absent", reason: "absent"}
	observed, found, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	is.seen = found && observed == object.GetGeneration()
	list, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	var undiscovered string
	for _, entry := range list {
		condition := entry.(map[string]any)
		switch condition["type"] {
		case "Ready":
			is.ready, is.reason, is.message = condition["status"].(string), condition["reason"].(string), condition["message"].(string)
			is.seen = is.seen && condition["observedGeneration"] == object.GetGeneration()
		case "Reconciling", "Stalled":
			if condition["status"] == "True" {
				is.beside = condition["type"].(string)
			}
		case "DeletionsHeld", "AbsencesHeld":
			is.held = strings.TrimSpace(is.held + " " + condition["message"].(string))
		case "LeadsDiscovered":
			if condition["status"] == "False" {
				undiscovered = condition["message"].(string)
			}
		}
	}
	// Where the spec can't be followed, Ready says the same.
	if undiscovered != is.message {
		is.held = strings.TrimSpace(is.held + " " + undiscovered)
	}
	return is
}

// The reasons: docs/reasons has a page for each.
func reasons(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("../../docs/reasons/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, page := range pages {
		if name := strings.TrimSuffix(filepath.Base(page), ".md"); name != "README" {
			all = append(all, name)
		}
	}
	if len(all) < 20 {
		t.Fatalf("docs/reasons has only %d pages", len(all))
	}
	return all
}

// Renews testdata: each of its objects from that of the last run which is in the same state.
func takeOver() error {
	if fresh == "" {
		return nil
	}
	all, err := load(golden)
	if err != nil {
		return err
	}
	for _, one := range all {
		text, err := os.ReadFile(filepath.Join(fresh, filepath.Base(one.file)))
		if err != nil {
			return fmt.Errorf("the last run has no object in the state of %s: choose another one (%w)", one.file, err)
		}
		if err := os.WriteFile(one.file, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func TestMain(m *testing.M) {
	flag.Parse()
	if *update {
		if err := takeOver(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	code := m.Run()
	if err := evidence(); err != nil {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}

// What was found of the objects, for the table of `cargo xtask evidence`.
var found struct{ reasons, allReasons, wrongHealth, wrongKstatus int }

func evidence() error {
	if fresh == "" || found.allReasons == 0 {
		return nil
	}
	all, err := load(fresh)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(map[string]int{
		"objects": len(all), "reasons": found.reasons, "allReasons": found.allReasons, "wrongHealth": found.wrongHealth, "wrongKstatus": found.wrongKstatus,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(filepath.Dir(fresh), "gitops.json"), append(text, '\n'), 0o644)
}
