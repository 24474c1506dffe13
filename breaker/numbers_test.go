package breaker

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"llmproxy/config"
)

// The numbers that docs/routing.md publishes are those of the code.
func TestPublishedNumbers(t *testing.T) {
	b, err := os.ReadFile("../docs/routing.md")
	if err != nil {
		t.Fatal(err)
	}
	page, d := string(b), Settings{}.withDefaults()
	f := func(format string, numbers ...any) {
		t.Helper()
		if said := fmt.Sprintf(format, numbers...); !strings.Contains(page, said) {
			t.Errorf("docs/routing.md does not say %q", said)
		}
	}
	f("| %d in a row | `BREAKER_CONSECUTIVE` |", d.Consecutive)
	f("%d percent of the requests of the last %.0f seconds, if they were at least %d |", d.RatioPercent, d.Window.Seconds(), d.MinRequests)
	f("| how long out | %s seconds;", steps(scale{d.BaseRest, d.MaxRest}, time.Second))
	f("within %.0f seconds (`BREAKER_MAX_REST_SECS`) does not hold up the next one", d.Probe.Seconds())
	f("%d in a row; or once, when tried after a rest | %s minutes |", d.Refusals, steps(scale{d.AuthRest, d.MaxAuthRest}, time.Minute))
	f("at most %.0f seconds; if none was told, %s seconds |", d.MaxLimited.Seconds(), steps(scale{d.BaseRest, d.MaxRest}, time.Second))
}

// steps writes a scale as "1, 2, 4, then 5".
func steps(rests scale, unit time.Duration) string {
	var said strings.Builder
	for step := 0; ; step++ {
		rest := rests.shortest(step)
		if rest == rests.last {
			return said.String() + fmt.Sprintf("then %d", rest/unit)
		}
		fmt.Fprintf(&said, "%d, ", rest/unit)
	}
}

// The defaults of the settings are those of the code.
func TestSettingsHaveTheDefaults(t *testing.T) {
	o, err := config.ParseOptions(nil, func(string) (string, bool) { return "", false }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	got := Settings{
		Consecutive: o.BreakerConsecutive, RatioPercent: o.BreakerRatioPercent, MinRequests: o.BreakerMinRequests,
		Window: o.BreakerWindow, MaxRest: o.BreakerMaxRest,
	}
	if want := (Settings{}).withDefaults(); got.withDefaults() != want {
		t.Errorf("the settings make %+v, want %+v", got.withDefaults(), want)
	}
}
