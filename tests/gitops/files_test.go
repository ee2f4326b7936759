package gitops

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func fromYAML(t *testing.T, text []byte) *unstructured.Unstructured {
	t.Helper()
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(asJSON); err != nil {
		t.Fatal(err)
	}
	return object
}

func toLuaTable(object *unstructured.Unstructured) lua.LValue {
	vm := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer vm.Close()
	return toLua(vm, object.Object)
}

const settings = "../../deploy/argocd/argocd-cm.yaml"

// What argocd-cm has to hold: the scripts, under the keys that Argo CD wants.
func settingsText(t *testing.T) string {
	t.Helper()
	indented := func(text string, by int) string {
		var out strings.Builder
		for line := range strings.Lines(text) {
			if strings.TrimSpace(line) != "" {
				out.WriteString(strings.Repeat(" ", by))
			}
			out.WriteString(line)
		}
		return out.String()
	}
	var out strings.Builder
	out.WriteString("# Made by `go test -update` in tests/gitops, from the scripts in resource_customizations. A patch for the settings of Argo CD:\n")
	out.WriteString("# kubectl patch configmap argocd-cm --namespace argocd --patch-file argocd-cm.yaml\n")
	out.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: argocd-cm\n  namespace: argocd\ndata:\n")
	for _, kind := range kinds {
		out.WriteString("  resource.customizations.health.operatorconnect.dev_" + kind + ": |\n")
		out.WriteString(indented(script(t, kind, "health.lua"), 4))
		out.WriteString("  resource.customizations.actions.operatorconnect.dev_" + kind + ": |\n    discovery.lua: |\n")
		out.WriteString(indented(script(t, kind, "actions/discovery.lua"), 6))
		out.WriteString("    definitions:\n      - name: refresh\n        action.lua: |\n")
		out.WriteString(indented(script(t, kind, "actions/refresh/action.lua"), 10))
	}
	return out.String()
}

func TestTheSettingsOfArgoCDHoldTheScripts(t *testing.T) {
	want := settingsText(t)
	if *update {
		if err := os.WriteFile(settings, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != want {
		t.Fatalf("%s is not what is made from the scripts: run go test -update", settings)
	}
	// Read back as Argo CD reads it.
	data, _, err := unstructured.NestedStringMap(fromYAML(t, text).Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		if data["resource.customizations.health.operatorconnect.dev_"+kind] != script(t, kind, "health.lua") {
			t.Errorf("the health of %s is not read back as it is", kind)
		}
		var actions struct {
			Discovery   string `json:"discovery.lua"`
			Definitions []struct {
				Name   string `json:"name"`
				Action string `json:"action.lua"`
			} `json:"definitions"`
		}
		if err := yaml.UnmarshalStrict([]byte(data["resource.customizations.actions.operatorconnect.dev_"+kind]), &actions); err != nil {
			t.Fatal(err)
		}
		if actions.Discovery != script(t, kind, "actions/discovery.lua") || len(actions.Definitions) != 1 ||
			actions.Definitions[0].Action != script(t, kind, "actions/refresh/action.lua") {
			t.Errorf("the actions of %s are not read back as they are", kind)
		}
	}
}

// The versions of the tools' own kinds that the examples use. Older ones are no longer served by the tools' current releases.
var foreign = map[string]bool{
	"source.toolkit.fluxcd.io/v1/GitRepository":       true,
	"source.toolkit.fluxcd.io/v1/OCIRepository":       true,
	"helm.toolkit.fluxcd.io/v2/HelmRelease":           true,
	"kustomize.toolkit.fluxcd.io/v1/Kustomization":    true,
	"argoproj.io/v1alpha1/Application":                true,
	"argoproj.io/v1alpha1/AppProject":                 true,
	"v1/Namespace":                                    true,
	"v1/ConfigMap":                                    true,
	"operatorconnect.dev/v1alpha1/LivePlatform":       true,
	"operatorconnect.dev/v1alpha1/Lead":               true,
	"operatorconnect.dev/v1alpha1/OcEssentialService": true,
}

// The objects of all YAML files of a folder.
func documents(t *testing.T, folder string) map[string]*unstructured.Unstructured {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(folder, "*.yaml"))
	files = slices.DeleteFunc(files, func(file string) bool { return filepath.Base(file) == "kustomization.yaml" })
	if len(files) == 0 {
		t.Fatalf("no files in %s", folder)
	}
	all := map[string]*unstructured.Unstructured{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			object := fromYAML(t, []byte(document))
			name := object.GetAPIVersion() + "/" + object.GetKind()
			if !foreign[name] {
				t.Errorf("%s: %s is not a kind in a version that is known here", file, name)
			}
			if object.GetName() == "" {
				t.Errorf("%s: an object without a name", file)
			}
			all[object.GetKind()+"/"+object.GetName()] = object
		}
	}
	return all
}

func list(t *testing.T, object *unstructured.Unstructured, path ...string) []any {
	t.Helper()
	found, _, err := unstructured.NestedSlice(object.Object, path...)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTheExampleForFluxHangsTogether(t *testing.T) {
	all := documents(t, "../../examples/flux")
	steps := 0
	for name, object := range all {
		if object.GetKind() != "Kustomization" {
			continue
		}
		steps++
		for _, entry := range list(t, object, "spec", "dependsOn") {
			on := "Kustomization/" + entry.(map[string]any)["name"].(string)
			if all[on] == nil {
				t.Errorf("%s depends on %s, which is not there", name, on)
			}
		}
		for _, entry := range list(t, object, "spec", "healthChecks") {
			check := entry.(map[string]any)
			if !foreign[check["apiVersion"].(string)+"/"+check["kind"].(string)] && check["kind"] != "Deployment" {
				t.Errorf("%s checks the health of a %s/%s", name, check["apiVersion"], check["kind"])
			}
			if waits, _, _ := unstructured.NestedBool(object.Object, "spec", "wait"); waits {
				t.Errorf("%s has healthChecks, which Flux ignores beside wait: true", name)
			}
		}
		source, _, _ := unstructured.NestedString(object.Object, "spec", "sourceRef", "name")
		if all["GitRepository/"+source] == nil {
			t.Errorf("%s reads from %q, which is not there", name, source)
		}
	}
	if steps < 3 {
		t.Errorf("only %d steps", steps)
	}
	release := documents(t, "../../examples/flux/operator")["HelmRelease/oc-essentials-operator"]
	source, _, _ := unstructured.NestedString(release.Object, "spec", "chart", "spec", "sourceRef", "name")
	if all["GitRepository/"+source] == nil {
		t.Errorf("the chart is read from %q, which is not there", source)
	}
}

// What is in the folders that the steps and applications name. Whether the API server takes it is tested in tests/kustomize.rs.
func TestTheFleetHasWhatTheExamplesName(t *testing.T) {
	if documents(t, "../../examples/fleet/platform")["LivePlatform/default"] == nil {
		t.Error("no LivePlatform called default, on which the examples wait")
	}
	customers := documents(t, "../../examples/fleet/customers")
	if customers["Lead/contoso"] == nil || customers["OcEssentialService/contoso"] == nil {
		t.Error("no customer")
	}
}

func TestTheExampleForArgoCDHangsTogether(t *testing.T) {
	all := documents(t, "../../examples/argocd")
	applications := 0
	for name, object := range all {
		if object.GetKind() != "Application" {
			continue
		}
		applications++
		options := list(t, object, "spec", "syncPolicy", "syncOptions")
		serverSide := false
		for _, option := range options {
			serverSide = serverSide || option == "ServerSideApply=true"
			if strings.HasPrefix(option.(string), "Replace=") || strings.HasPrefix(option.(string), "Force=") {
				t.Errorf("%s has %s: it makes objects anew", name, option)
			}
		}
		if !serverSide {
			t.Errorf("%s is not applied by the server's side", name)
		}
		project, _, _ := unstructured.NestedString(object.Object, "spec", "project")
		if all["AppProject/"+project] == nil && project != "default" {
			t.Errorf("%s is of the project %q, which is not there", name, project)
		}
	}
	if applications < 3 {
		t.Errorf("only %d applications", applications)
	}
}
