package gitops

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// Flux, `kubectl wait` in its newer forms, and others judge by kstatus. Our own checker, at the end of every flow, must see what it sees.
func TestKstatusAgreesWithOurOwnChecker(t *testing.T) {
	for _, one := range objects(t) {
		result, err := status.Compute(one.Object)
		if err != nil {
			t.Errorf("%s: kstatus can't read it: %v", one.file, err)
			continue
		}
		if string(result.Status) != one.Checker.Status {
			found.wrongKstatus++
			t.Errorf("%s: kstatus says %s (%s), our checker %s", one.file, result.Status, result.Message, one.Checker.Status)
		}
		if len(one.Checker.Violations) > 0 {
			continue
		}
		// What keeps our rules is never taken for something else by kstatus.
		is := stateOf(one.Object)
		want := map[string]status.Status{"Reconciling": status.InProgressStatus, "Stalled": status.FailedStatus}[is.beside]
		switch {
		case is.deleting:
			want = status.TerminatingStatus
		case is.ready == "True":
			want = status.CurrentStatus
		case is.beside == "nothing":
			want = status.InProgressStatus
		}
		if result.Status != want {
			t.Errorf("%s (%s) keeps our rules, and kstatus says %s, not %s", one.file, is, result.Status, want)
		}
	}
	counts := map[status.Status]int{}
	for _, one := range reached(t) {
		if result, err := status.Compute(one.Object); err == nil {
			counts[result.Status]++
		}
	}
	for _, wanted := range []status.Status{status.CurrentStatus, status.InProgressStatus, status.FailedStatus, status.TerminatingStatus} {
		if counts[wanted] == 0 {
			t.Errorf("no object is %s: the objects do not show what they should", wanted)
		}
	}
	fmt.Printf("kstatus of the objects of the flows: %v\n", counts)
}

// Which reasons stand beside Ready, by the contract in crates/status-rules.
func contract(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../crates/status-rules/src/lib.rs")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string][]string{}
	for _, kind := range []string{"Reconciling", "Stalled"} {
		_, after, _ := strings.Cut(string(text), `("`+kind+`", "True", &[`)
		listed, _, _ := strings.Cut(after, "]")
		spans := strings.Split(listed, `"`)
		for at := 1; at < len(spans); at += 2 {
			allowed[kind] = append(allowed[kind], spans[at])
		}
		if len(allowed[kind]) < 5 {
			t.Fatalf("only %v beside %s", allowed[kind], kind)
		}
	}
	return allowed
}

// Which states and reasons were shown by objects. The flows say which states they reach, so this tells, and fails only when much is missing.
func TestStatesThatObjectsShow(t *testing.T) {
	shown, states := map[string]bool{}, map[string]bool{}
	all := reached(t)
	for _, one := range all {
		is := stateOf(one.Object)
		shown[is.reason] = true
		states[is.beside+" "+is.reason] = true
	}
	var not []string
	for _, reason := range reasons(t) {
		if !shown[reason] {
			not = append(not, reason)
		}
	}
	total := len(reasons(t))
	fmt.Printf("%d objects show %d of %d reasons; no object shows: %s\n", len(all), total-len(not), total, strings.Join(not, ", "))
	var unseen, unlisted []string
	count := 0
	allowed := contract(t)
	for beside, list := range allowed {
		for _, reason := range list {
			count++
			if !states[beside+" "+reason] {
				unseen = append(unseen, beside+" "+reason)
			}
		}
	}
	for name := range states {
		beside, reason, _ := strings.Cut(name, " ")
		if beside != "nothing" && !slices.Contains(allowed[beside], reason) {
			unlisted = append(unlisted, name)
		}
	}
	slices.Sort(unseen)
	slices.Sort(unlisted)
	fmt.Printf("of %d pairs of Reconciling or Stalled with a reason that the contract names, %d were not reached: %s\n", count, len(unseen), strings.Join(unseen, ", "))
	fmt.Printf("%d pairs were reached that it does not name: %s\n", len(unlisted), strings.Join(unlisted, ", "))
	found.reasons, found.allReasons = total-len(not), total
	// The few of testdata show how an object is shown, and not which reasons there are.
	if fresh != "" && len(not) > total/4 {
		t.Errorf("%d of %d reasons have no object", len(not), total)
	}
}
