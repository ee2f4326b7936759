package gitops

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// Flux, `kubectl wait` in its newer forms, and others judge by kstatus. Our own checker, at the end of every flow, must see what it sees.
func TestKstatusAgreesWithOurOwnChecker(t *testing.T) {
	counts := map[status.Status]int{}
	for _, one := range objects(t) {
		result, err := status.Compute(one.Object)
		if err != nil {
			t.Errorf("%s: kstatus can't read it: %v", one.file, err)
			continue
		}
		counts[result.Status]++
		if string(result.Status) != one.Checker.Status {
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
	for _, wanted := range []status.Status{status.CurrentStatus, status.InProgressStatus, status.FailedStatus, status.TerminatingStatus} {
		if counts[wanted] == 0 {
			t.Errorf("no object is %s: the objects do not show what they should", wanted)
		}
	}
	fmt.Printf("kstatus of the objects of the flows: %v\n", counts)
}

// Which reasons were shown by objects. Not a law of its own: the flows say which states they reach.
func TestReasonsThatObjectsShow(t *testing.T) {
	shown := map[string]bool{}
	all := objects(t)
	for _, one := range all {
		shown[stateOf(one.Object).reason] = true
	}
	var not []string
	for _, reason := range reasons(t) {
		if !shown[reason] {
			not = append(not, reason)
		}
	}
	total := len(reasons(t))
	fmt.Printf("%d objects show %d of %d reasons; no object shows: %s\n", len(all), total-len(not), total, strings.Join(not, ", "))
	if len(not) > total/4 {
		t.Errorf("%d of %d reasons have no object", len(not), total)
	}
}
