package llmproxy

import (
	"go/ast"
	"slices"
	"testing"
)

// wallClock are the places on a request's way where a time is taken from the
// wall clock, or as a number, which forgets the monotonic clock: none of them
// decides how long something lasts.
var wallClock = map[string]string{
	"route/clock.go":            "the anchor: taken once, the rest is monotonic",
	"route/held.go":             "a key's last day is a date",
	"server/models.go":          "shown: when a model was added",
	"downstream/certificate.go": "a file's own time, to see that it is another",
}

// TestLimitsGoByTheMonotonicClock (R50): a clock that is set an hour or a day
// on or back neither fills a bucket nor blocks one, neither ends a wait nor
// prolongs it, because nothing on a request's way does sums with the wall
// clock. What the arithmetic makes of jumps all the same is tested in ratelimit
// and breaker, in the files called clock_test.go.
func TestLimitsGoByTheMonotonicClock(t *testing.T) {
	rooms := []string{"server", "route", "ratelimit", "breaker", "overload", "upstream", "downstream", "balance"}
	numbers := []string{"Unix", "UnixNano", "UnixMicro", "UnixMilli", "Round"} // Round(0) is how one strips a time
	for _, s := range sources(t) {
		if s.test || !slices.Contains(rooms, s.room) || wallClock[s.name] != "" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if ok && slices.Contains(numbers, method.Sel.Name) && takesNothing(call) {
				t.Errorf("%s: %s(): a time without its monotonic part; use the room's own clock, or say in wallclock_test.go why not",
					fset.Position(call.Pos()), method.Sel.Name)
			}
			return true
		})
	}
}

// takesNothing reports whether a call has no argument, or the 0 of Round(0).
func takesNothing(call *ast.CallExpr) bool {
	if len(call.Args) == 1 {
		zero, ok := call.Args[0].(*ast.BasicLit)
		return ok && zero.Value == "0"
	}
	return len(call.Args) == 0
}
