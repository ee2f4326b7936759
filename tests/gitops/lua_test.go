package gitops

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const customizations = "../../deploy/argocd/resource_customizations/operatorconnect.dev"

// The script of a kind, or that of all kinds without one of their own: in `_`, as Argo CD names such a folder.
func script(t *testing.T, kind, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(customizations, kind, name))
	if os.IsNotExist(err) {
		text, err = os.ReadFile(filepath.Join(customizations, "_", name))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Runs a script as Argo CD does with one from argocd-cm: a second at most; of the libraries only base, package and table; `os` by require, with
// nothing but time and date; the object as the global `obj`.
func run(object *unstructured.Unstructured, text string) (*lua.LTable, error) {
	vm := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer vm.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}, {lua.OsLibName, lua.OpenOs}} {
		if err := vm.CallByParam(lua.P{Fn: vm.NewFunction(library.open), Protect: true}, lua.LString(library.name)); err != nil {
			return nil, err
		}
	}
	whole := vm.GetGlobal(lua.OsLibName).(*lua.LTable)
	safe := vm.NewTable()
	for _, name := range []string{"time", "date"} {
		safe.RawSetString(name, whole.RawGetString(name))
	}
	vm.SetGlobal(lua.OsLibName, lua.LNil)
	vm.GetField(vm.GetGlobal("package"), "loaded").(*lua.LTable).RawSetString(lua.OsLibName, safe)

	limit, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	vm.SetContext(limit)
	vm.SetGlobal("obj", toLua(vm, object.Object))
	if err := vm.DoString(text); err != nil {
		return nil, err
	}
	table, is := vm.Get(-1).(*lua.LTable)
	if !is {
		return nil, fmt.Errorf("the script gives a %s, not a table", vm.Get(-1).Type())
	}
	return table, nil
}

func toLua(vm *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		list := vm.NewTable()
		for _, item := range value {
			list.Append(toLua(vm, item))
		}
		return list
	case map[string]any:
		table := vm.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(vm, item))
		}
		return table
	}
	return lua.LNil
}

func fromLua(value lua.LValue) any {
	switch value := value.(type) {
	case lua.LBool:
		return bool(value)
	case lua.LString:
		return string(value)
	case lua.LNumber:
		return float64(value)
	case *lua.LTable:
		if length := value.Len(); length > 0 {
			list := make([]any, 0, length)
			for at := 1; at <= length; at++ {
				list = append(list, fromLua(value.RawGetInt(at)))
			}
			return list
		}
		all := map[string]any{}
		value.ForEach(func(key, item lua.LValue) { all[key.String()] = fromLua(item) })
		return all
	}
	return nil
}

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func healthOf(t *testing.T, object *unstructured.Unstructured) health {
	t.Helper()
	given, err := run(object, script(t, object.GetKind(), "health.lua"))
	if err != nil {
		t.Fatalf("health.lua of %s: %v", object.GetKind(), err)
	}
	text := func(name string) string {
		value, is := given.RawGetString(name).(lua.LString)
		if !is {
			t.Fatalf("health.lua of %s gives no %s", object.GetKind(), name)
		}
		return string(value)
	}
	return health{text("status"), text("message")}
}

func TestScriptsRunWithoutWhatArgoCDWithholds(t *testing.T) {
	nothing := &unstructured.Unstructured{Object: map[string]any{}}
	for _, text := range []string{
		`return { string.format("%d", 1) }`,
		`return { ("x"):upper() }`,
		`return { math.random() }`,
		`return { io.open("/etc/hosts") }`,
		`return { os.time() }`,
		`return { require("os").getenv("PATH") }`,
		`while true do end`,
		`return "Healthy"`,
	} {
		if _, err := run(nothing, text); err == nil {
			t.Errorf("%s runs, and does not in Argo CD", text)
		}
	}
	if _, err := run(nothing, `return { require("os").date("!%Y") }`); err != nil {
		t.Errorf("what Argo CD allows does not run: %v", err)
	}
}
