package deploy

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// unable ends a test that cannot run on this machine: it is skipped, and on a
// machine that decides what lands (CI is set) it fails, with what mends that.
// Else a change could land with nobody having looked at the image or the units.
func unable(t testing.TB, why, mend string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s, and CI is set, so that nothing is left out: %s", why, mend)
	}
	t.Skip(why)
}

// ended is how a test ended, instead of its end.
type ended struct {
	testing.TB
	how string
}

func (e *ended) Helper()          {}
func (e *ended) Skip(args ...any) { e.end("skipped", fmt.Sprint(args...)) }
func (e *ended) Fatalf(format string, args ...any) {
	e.end("failed", fmt.Sprintf(format, args...))
}

func (e *ended) end(how, why string) {
	if e.how == "" {
		e.how = how + ": " + why
	}
}

// Where CI is set a test that cannot run fails, and says what to do.
func TestNothingIsLeftOutWhereCIIsSet(t *testing.T) {
	f := func(ci, begin, end string) {
		t.Helper()
		t.Setenv("CI", ci)
		var e ended
		unable(&e, "it takes root", "sudo it")
		if !strings.HasPrefix(e.how, begin) || !strings.HasSuffix(e.how, end) {
			t.Errorf("CI=%q: %q, want %s … %s", ci, e.how, begin, end)
		}
	}
	f("", "skipped: it takes root", "it takes root")
	f("true", "failed: it takes root", "sudo it")
	f("1", "failed: it takes root", "sudo it")
}
