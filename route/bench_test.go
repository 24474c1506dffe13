package route

import (
	"fmt"
	"runtime"
	"testing"

	"llmproxy/budget"
	"llmproxy/config"
)

// fleet declares so many providers, models and keys. Every model is declared by
// ten providers, or by all of them if there are fewer.
func fleet(providers, models, keys int) *config.Set {
	set := &config.Set{Version: 1}
	each := max(1, models*min(10, providers)/providers) // models of a provider
	for i := range providers {
		mapping := make(map[string]string, each)
		for j := range each {
			mapping[fmt.Sprint("model-", (i*each+j)%models)] = "real"
		}
		set.Providers = append(set.Providers, config.Provider{
			ID: int64(i + 1), Key: fmt.Sprint("provider-", i), Type: "openai", APIBase: "http://127.0.0.1:1/v1", Weight: 1, Enabled: true, ModelMapping: mapping,
		})
	}
	for i := range keys {
		set.Credentials = append(set.Credentials, config.Credential{
			ID: int64(i + 1), Hash: config.HashKey(fmt.Sprint("sk-", i)), Name: fmt.Sprint("key-", i), Enabled: true,
		})
	}
	return set
}

// heap is what is reachable, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // the second one sweeps what the first has found
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkBuild is a reload of a large configuration: 1,000 providers, 1,000
// models, 100,000 keys. It happens beside the requests, never on their way.
// table-MB is the heap of the table alone, metrics and limits of its keys
// included; the declarations that it was made of are not.
func BenchmarkBuild(b *testing.B) {
	set := fleet(1000, 1000, 100_000)
	builder := newTestBuilder()
	before := heap()
	table, err := builder.Build(set, nil)
	if err != nil {
		b.Fatal(err)
	}
	used := heap() - before
	b.ReportAllocs()
	for b.Loop() {
		next, err := builder.Build(set, table)
		if err != nil {
			b.Fatal(err)
		}
		table = next
	}
	b.ReportMetric(float64(used)/1e6, "table-MB")
	if len(table.callers) != 100_000 || len(table.models.exact) != 1000 {
		b.Fatal("the table is not whole")
	}
	closeClients(table, nil)
}

// BenchmarkCaller is the look-up of a client key: its hash, and a map.
func BenchmarkCaller(b *testing.B) {
	f := func(keys int) {
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			table, err := newTestBuilder().Build(fleet(1, 1, keys), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer closeClients(table, nil)
			asked := make([][]byte, min(keys, 1024)) // those that are asked, spread over all
			for i := range asked {
				asked[i] = fmt.Append(nil, "sk-", i*(keys/len(asked)))
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				n := i % len(asked)
				if c := table.Caller(asked[n]); c == nil || c.ID != int64(n*(keys/len(asked))+1) {
					b.Fatalf("%s is %+v", asked[n], c)
				}
				i++
			}
			if table.Caller([]byte("sk-unknown")) != nil {
				b.Fatal("a key that nobody has was found")
			}
		})
	}
	f(3)
	f(100_000)
}

// BenchmarkRoute is the look-up of a model by its name.
func BenchmarkRoute(b *testing.B) {
	f := func(models int) {
		b.Run(fmt.Sprint("models=", models), func(b *testing.B) {
			table, err := newTestBuilder().Build(fleet(3, models, 1), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer closeClients(table, nil)
			asked := make([][]byte, models)
			for i := range asked {
				asked[i] = fmt.Append(nil, "model-", i)
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				n := i % models
				if r := table.Route(asked[n]); r == nil || len(r.tiers[0].targets) != 3 {
					b.Fatalf("%s: %+v", asked[n], r)
				}
				i++
			}
			if table.Route([]byte("model-x")) != nil {
				b.Fatal("a model that nobody serves was found")
			}
		})
	}
	f(3)
	f(1000)
}

// BenchmarkRoutePattern finds a model by the longest of three patterns.
func BenchmarkRoutePattern(b *testing.B) {
	table, err := newTestBuilder().Build(declare("a gpt-*=vendor/*", "b gpt-4-turbo-*=x", "c g*=y"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer closeClients(table, nil)
	name := []byte("gpt-4o-2024-11-20")
	want := table.models.prefix["gpt-"]
	b.ReportAllocs()
	for b.Loop() {
		if table.Route(name) != want {
			b.Fatal("another pattern")
		}
	}
}

// BenchmarkPick draws one of three weighted targets, all of them fit.
func BenchmarkPick(b *testing.B) {
	table, err := newTestBuilder().Build(declare("a m=x weight=1", "b m=x weight=2", "c m=x weight=3"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer closeClients(table, nil)
	r, draws, state := table.Route([]byte("m")), 0, uint64(1)
	var counts [3]int
	b.ReportAllocs()
	for b.Loop() {
		state = state*6364136223846793005 + 1442695040888963407 // PCG's step, cheap and the same every time
		t, pass := r.Pick(state, &Tried{}, holdAt)
		t.Breaker.Abandoned(pass, holdAt)
		counts[t.Provider.ID-1]++
		draws++
	}
	for i, n := range counts {
		if want := draws * (i + 1) / 6; draws > 100_000 && (n < want*98/100 || n > want*102/100) {
			b.Errorf("target %d was picked %d times of %d, want %d", i, n, draws, want)
		}
	}
}

// BenchmarkHold is what limits of tokens and of money cost a request: what it
// may use is set aside, at the price of the dearest target, and settled.
func BenchmarkHold(b *testing.B) {
	builder := newTestBuilder()
	builder.Purses = budget.NewPurses()
	dollars := 1_000_000 * config.OneUSD
	set := declare("cheap gpt=own", "dear gpt=own")
	set.Prices = []config.Price{{Model: "own", Provider: "cheap", Input: config.OneUSD}, {Model: "own", Provider: "dear", Input: 2 * config.OneUSD}}
	set.Credentials = []config.Credential{{
		ID: 1, Name: "team", Hash: config.HashKey("sk-team"), Enabled: true, Budget: &dollars, TPMLimit: new(int64(1_000_000_000_000)),
	}}
	table, err := builder.Build(set, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer closeClients(table, nil)
	c, r, asked := table.Caller([]byte("sk-team")), table.Route([]byte("gpt")), int64(0)
	b.ReportAllocs()
	for b.Loop() {
		h, _, refusal := c.Hold(r, "gpt", config.Tokens{Prompt: 10, Completion: 10}, holdAt)
		if refusal != NotRefused {
			b.Fatal(refusal)
		}
		h.Settle(config.Tokens{Prompt: 10}, 1, true, holdAt)
		asked++
	}
	if _, spent, _, _ := c.BudgetState(holdAt); int64(spent) != asked {
		b.Errorf("%d are spent of %d", spent, asked)
	}
}
