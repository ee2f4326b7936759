package gitops

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const page = "../../docs/gitops.md"

// A rule of the table in docs/gitops.md: in which states it holds, and the health that Argo CD is to show then.
type rule struct {
	seen, deleting, beside, ready, reason string
	health                                string
}

// Reads the table. It is what the Lua is held to, and was written from the meaning of the conditions.
func table(t *testing.T) []rule {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "<!-- health: begin -->")
	inside, _, _ := strings.Cut(after, "<!-- health: end -->")
	var rules []rule
	for line := range strings.Lines(inside) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 6 || strings.Contains(line, "---") || strings.Contains(line, "Argo CD") {
			continue
		}
		for at := range cells {
			cells[at] = strings.ReplaceAll(strings.TrimSpace(cells[at]), "`", "")
		}
		rules = append(rules, rule{cells[0], cells[1], cells[2], cells[3], cells[4], strings.ReplaceAll(cells[5], "*", "")})
	}
	if len(rules) < 8 {
		t.Fatalf("only %d rules in the table of %s", len(rules), page)
	}
	return rules
}

// Whether a cell of the table has a value: "any", "A, B", or "not A, B".
func has(cell, value string) bool {
	if cell == "any" {
		return true
	}
	rest, not := strings.CutPrefix(cell, "not ")
	return slices.Contains(strings.Split(rest, ", "), value) != not
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// The one rule for a state: that there is just one is part of what is tested.
func expected(rules []rule, is state) (string, error) {
	var found []string
	for _, rule := range rules {
		if has(rule.seen, yes(is.seen)) && has(rule.deleting, yes(is.deleting)) && has(rule.beside, is.beside) && has(rule.ready, is.ready) && has(rule.reason, is.reason) {
			found = append(found, rule.health)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%d rules of the table hold for %s: %v", len(found), is, found)
	}
	return found[0], nil
}

// Holds what the Lua says of an object to the table: what it says, and whether that is right.
func check(t *testing.T, rules []rule, name string, object *unstructured.Unstructured) (string, bool) {
	t.Helper()
	is := stateOf(object)
	want, err := expected(rules, is)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return "", false
	}
	got := healthOf(t, object)
	if got.Status != want {
		t.Errorf("%s (%s): health.lua says %s, the table %s", name, is, got.Status, want)
	}
	message := is.message
	if is.held != "" {
		message += " " + is.held
	}
	if !is.seen {
		message = "The operator has not reconciled it yet."
	}
	if got.Message != message {
		t.Errorf("%s: the message is %q, not %q", name, got.Message, message)
	}
	return got.Status, got.Status == want && got.Message == message
}

func TestRealObjectsHaveTheHealthOfTheTable(t *testing.T) {
	rules := table(t)
	for _, one := range objects(t) {
		if _, right := check(t, rules, one.file, one.Object); !right {
			found.wrongHealth++
		}
	}
	counts := map[string]int{}
	for _, one := range reached(t) {
		counts[healthOf(t, one.Object).Status]++
	}
	for _, status := range []string{"Healthy", "Progressing", "Degraded", "Suspended"} {
		if counts[status] == 0 {
			t.Errorf("no object of the flows is %s: the objects do not show what they should", status)
		}
	}
	fmt.Printf("health of the objects of the flows: %v\n", counts)
}

// An object in a state, for the states that no flow can be made to show.
func made(is state) *unstructured.Unstructured {
	const generation = int64(7)
	metadata := map[string]any{"name": "made", "generation": generation}
	if is.deleting {
		metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
	}
	observed := generation
	if !is.seen {
		observed--
	}
	var conditions []any
	for _, condition := range [][3]string{{"Ready", is.ready}, {is.beside, "True"}} {
		if condition[0] == "nothing" || condition[1] == "absent" {
			continue
		}
		conditions = append(conditions, map[string]any{
			"type": condition[0], "status": condition[1], "reason": is.reason, "message": is.message, "observedGeneration": observed,
		})
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "operatorconnect.dev/v1alpha1", "kind": is.kind, "metadata": metadata, "spec": map[string]any{},
		"status": map[string]any{"observedGeneration": observed, "conditions": conditions},
	}}
}

func TestEveryStateHasTheHealthOfTheTable(t *testing.T) {
	rules := table(t)
	count := 0
	// Reasons that only some kinds have.
	only := map[string][]string{
		"Suspended": {"Lead", "LeadPolicy", "OcEssentialService"}, "PlanReady": {"OcEssentialService"}, "Observing": {"OcEssentialService"},
	}
	for _, kind := range kinds {
		for _, reason := range reasons(t) {
			if those, is := only[reason]; is && !slices.Contains(those, kind) {
				continue
			}
			for _, ready := range []string{"True", "False", "Unknown"} {
				for _, beside := range []string{"nothing", "Reconciling", "Stalled"} {
					for at := range 4 {
						is := state{kind: kind, seen: at&1 == 0, deleting: at&2 == 0, beside: beside, ready: ready, reason: reason, message: "What happened."}
						check(t, rules, is.String(), made(is))
						count++
					}
				}
			}
		}
	}
	fmt.Printf("states of the table, made up: %d\n", count)
}

func TestWhatIsNotWholeIsNotHealthy(t *testing.T) {
	ready := state{kind: "Lead", seen: true, beside: "nothing", ready: "True", reason: "Succeeded", message: "All is so."}
	for _, kind := range kinds {
		ready.kind = kind
		if got := healthOf(t, made(ready)); got.Status != "Healthy" {
			t.Fatalf("%s: %v", kind, got)
		}
		for name, change := range map[string]func(object map[string]any){
			"no status":             func(object map[string]any) { delete(object, "status") },
			"status is null":        func(object map[string]any) { object["status"] = nil },
			"an empty status":       func(object map[string]any) { object["status"] = map[string]any{} },
			"no conditions":         func(object map[string]any) { unstructured.RemoveNestedField(object, "status", "conditions") },
			"conditions are null":   func(object map[string]any) { _ = unstructured.SetNestedField(object, nil, "status", "conditions") },
			"an empty list":         func(object map[string]any) { _ = unstructured.SetNestedSlice(object, []any{}, "status", "conditions") },
			"no observedGeneration": func(object map[string]any) { unstructured.RemoveNestedField(object, "status", "observedGeneration") },
			"an old one": func(object map[string]any) {
				_ = unstructured.SetNestedField(object, int64(6), "status", "observedGeneration")
			},
			"a new spec": func(object map[string]any) {
				_ = unstructured.SetNestedField(object, int64(8), "metadata", "generation")
			},
			"a condition of an old one": func(object map[string]any) {
				list, _, _ := unstructured.NestedSlice(object, "status", "conditions")
				list[0].(map[string]any)["observedGeneration"] = int64(6)
				_ = unstructured.SetNestedSlice(object, list, "status", "conditions")
			},
			"being deleted": func(object map[string]any) {
				_ = unstructured.SetNestedField(object, "2026-01-01T00:00:00Z", "metadata", "deletionTimestamp")
			},
		} {
			object := made(ready)
			change(object.Object)
			if got := healthOf(t, object); got.Status != "Progressing" || got.Message == "" {
				t.Errorf("%s with %s is %v", kind, name, got)
			}
		}
	}
}

// The cases that Argo CD's own tests would run, if the folder were put into its repository.
func TestTheCasesForArgoCDPass(t *testing.T) {
	folders, err := os.ReadDir(customizations)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range folders {
		kind, folder := one.Name(), filepath.Join(customizations, one.Name())
		text, err := os.ReadFile(filepath.Join(folder, "health_test.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var cases struct {
			Tests []struct {
				InputPath    string `json:"inputPath"`
				HealthStatus health `json:"healthStatus"`
			} `json:"tests"`
		}
		if err := yaml.UnmarshalStrict(text, &cases); err != nil {
			t.Fatal(err)
		}
		shown := map[string]bool{}
		for _, one := range cases.Tests {
			text, err := os.ReadFile(filepath.Join(folder, one.InputPath))
			if err != nil {
				t.Fatal(err)
			}
			if got := healthOf(t, fromYAML(t, text)); got != one.HealthStatus {
				t.Errorf("%s %s: %v, not %v", kind, one.InputPath, got, one.HealthStatus)
			}
			shown[one.HealthStatus.Status] = true
		}
		if len(shown) < 3 {
			t.Errorf("%s has cases of %v only", kind, slices.Collect(maps.Keys(shown)))
		}
	}
}

func TestRefreshAsksForALook(t *testing.T) {
	const annotation = "operatorconnect.dev/reconcile-requested-at"
	for _, one := range objects(t) {
		kind := one.Object.GetKind()
		offered, err := run(one.Object, script(t, kind, "actions/discovery.lua"))
		if err != nil {
			t.Fatal(err)
		}
		if _, is := fromLua(offered.RawGetString("refresh")).(map[string]any); !is {
			t.Fatalf("%s offers no refresh", kind)
		}
		changed, err := run(one.Object, script(t, kind, "actions/refresh/action.lua"))
		if err != nil {
			t.Fatal(err)
		}
		after := fromLua(changed).(map[string]any)
		asked, _, _ := unstructured.NestedString(after, "metadata", "annotations", annotation)
		if len(asked) != len("2026-01-01T00:00:00Z") || !strings.HasSuffix(asked, "Z") {
			t.Errorf("%s: refresh writes %q", one.file, asked)
		}
		// Nothing else is changed, numbers aside: Lua has only one kind of them.
		before := one.Object.DeepCopy()
		annotations := before.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[annotation] = asked
		before.SetAnnotations(annotations)
		want := fromLua(toLuaTable(before))
		if fmt.Sprint(want) != fmt.Sprint(after) {
			t.Errorf("%s: refresh changes more than the annotation", one.file)
		}
	}
}
