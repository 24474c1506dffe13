package admin

import (
	"crypto/sha256"
	"flag"
	"go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// S07: the Admin API has no means to run a program or to open a file.
func TestAdminTouchesNoFiles(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		seen++
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range parsed.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			if slices.Contains([]string{"os", "os/exec", "io/fs", "io/ioutil", "path/filepath", "plugin", "syscall", "unsafe", "text/template", "html/template", "net/http"}, path) {
				t.Errorf("%s imports %s", f.Name(), path)
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d files were looked at", seen)
	}
}

var timing = flag.Bool("timing", false, "measure whether the time of a wrong admin key tells how much of it is right (10 s, on an idle machine)")

// S13: the time that a wrong key takes does not tell how much of it is right:
// Welch's t test finds no difference (p > 0.01). With -timing only; what holds
// on every machine is TestKeysAreComparedByHash of cmd/llm-proxy.
func TestTimeOfAWrongKey(t *testing.T) {
	if !*timing {
		t.Skip("-timing measures for 10 s")
	}
	right := "admin-0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
	api := New(Deps{AdminKeyHash: sha256.Sum256([]byte(right)), HasAdminKey: true})
	wrong := [2]string{"X" + right[1:], right[:len(right)-1] + "X"}
	key := make([]byte, len(right)) // one place for both: caches know addresses
	var samples [2][]float64
	for range 60_000 {
		which := rand.IntN(2)
		copy(key, wrong[which])
		began := time.Now()
		for range 200 {
			if api.IsAdmin(key) {
				t.Fatal("a wrong key is the admin's")
			}
		}
		samples[which] = append(samples[which], float64(time.Since(began)))
	}
	for i, s := range samples {
		slices.Sort(s)
		samples[i] = s[:len(s)*9/10] // the rest was interrupted
	}
	if score := welch(samples[0], samples[1]); math.Abs(score) > 2.58 {
		t.Errorf("t = %.2f: the times differ (p < 0.01)", score)
	}
}

// welch is Welch's t statistic of two samples.
func welch(a, b []float64) float64 {
	meanA, varA := moments(a)
	meanB, varB := moments(b)
	return (meanA - meanB) / math.Sqrt(varA/float64(len(a))+varB/float64(len(b)))
}

// moments are the mean and the variance of a sample.
func moments(s []float64) (mean, variance float64) {
	for _, x := range s {
		mean += x / float64(len(s))
	}
	for _, x := range s {
		variance += (x - mean) * (x - mean) / float64(len(s)-1)
	}
	return mean, variance
}
