package route

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"llmproxy/config"
	"llmproxy/metrics"
	"llmproxy/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newTestBuilder() *Builder {
	return &Builder{Metrics: metrics.New(metrics.Options{}), Buckets: ratelimit.NewBuckets()}
}

// declare makes providers from lines such as
//
//	name priority=1 weight=3 off gpt-4=real gpt-*=vendor/*
func declare(lines ...string) *config.Set {
	set := &config.Set{Version: 1}
	for i, line := range lines {
		words := strings.Fields(line)
		p := config.Provider{ID: int64(i + 1), Key: words[0], Type: "openai", APIBase: "http://127.0.0.1:1/v1", Weight: 1, Enabled: true}
		for _, w := range words[1:] {
			name, value, _ := strings.Cut(w, "=")
			switch name {
			case "priority":
				_, _ = fmt.Sscan(value, &p.Priority)
			case "weight":
				_, _ = fmt.Sscan(value, &p.Weight)
			case "off":
				p.Enabled = false
			default:
				if p.ModelMapping == nil {
					p.ModelMapping = map[string]string{}
				}
				p.ModelMapping[name] = value
			}
		}
		set.Providers = append(set.Providers, p)
	}
	return set
}

func build(t *testing.T, b *Builder, set *config.Set, old *Table) *Table {
	t.Helper()
	table, err := b.Build(set, old)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeClients(table, nil) })
	return table
}

// order is who is asked one after another when each fails, most favoured
// first, with what they are asked for; equals are sorted by name.
func order(r *Route, public string, cut bool) string {
	if r == nil {
		return ""
	}
	var tiers []string
	for _, tier := range r.tiers {
		var names []string
		for i := range tier.targets {
			t := &tier.targets[i]
			name := t.Upstream(nil, []byte(public), cut)
			if name == nil {
				name = []byte("as asked")
			}
			names = append(names, t.Provider.Name+":"+string(name))
		}
		slices.Sort(names)
		tiers = append(tiers, strings.Join(names, ","))
	}
	return strings.Join(tiers, " > ")
}

func TestOrderOfTargets(t *testing.T) {
	f := func(asked, want string, lines ...string) {
		t.Helper()
		b := newTestBuilder()
		b.CutPrefix = "Proxy"
		table := build(t, b, declare(lines...), nil)
		public := table.Public([]byte(asked))
		if got := order(table.Route(public), string(public), len(public) != len(asked)); got != want {
			t.Errorf("%s of %q: %s, want %s", asked, lines, got, want)
		}
	}
	f("gpt-4", "", "a x=y")
	f("gpt-4", "", "a off gpt-4=x")
	f("gpt-4", `a:"x"`, "a gpt-4=x")
	f("gpt-4", `a:"x",b:"y"`, "a gpt-4=x", "b gpt-4=y")
	f("gpt-4", `b:"y" > a:"x"`, "a gpt-4=x priority=2", "b gpt-4=y priority=1")
	f("gpt-4", `a:"x" > b:"y"`, "a gpt-4=x priority=2", "b gpt-4=y priority=1 weight=0")
	f("gpt-4", `a:"x" > b:"v/4" > c:as asked`, "c", "b gpt-*=v/*", "a gpt-4=x")
	f("gpt-4", `a:"x",b:"z" > c:as asked`, "c priority=0", "b gpt-4=z gpt-*=v/*", "a gpt-4=x")
	f("gpt-5", `b:"v/5" > c:as asked`, "c", "b gpt-*=v/*", "a gpt-4=x")
	f("gpt-5-mini", `a:"one",b:"v/5-mini"`, "a gpt-5*=one", "b gpt-*=v/*")
	f("gpt-9", `b:"v/9"`, "a gpt-5*=one", "b gpt-*=v/*")
	f("gpt-", `b:"v/"`, "b gpt-*=v/*")
	f("gpt-9", `b:as asked`, "b gpt-*=gpt-*")
	f("Proxy/gpt-9", `b:"gpt-9"`, "b gpt-*=gpt-*")
	f("Proxy/gpt-4", `a:"x"`, "a gpt-4=x")
	f("Other/gpt-4", ``, "a gpt-4=x")
	f("llama", `a:as asked`, "a", "b gpt-4=x")
	f("Proxy/llama", `a:"llama"`, "a")
	f("anything", `a:"same"`, "a *=same")
}

// The most specific key of a provider's mapping names its model, on the route
// and in the records.
func TestUpstreamNameAgreesWithTheRoute(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.StringMatching(`[ab]{1,4}`)
		mapping := rapid.MapOfN(rapid.StringMatching(`[ab]{0,3}\*|[ab]{1,4}`), rapid.StringMatching(`[xy]{1,3}\*?`), 1, 5).Draw(rt, "mapping")
		set := declare("a")
		set.Providers[0].ModelMapping = mapping
		if set.Validate() != nil {
			rt.Skip()
		}
		table, err := newTestBuilder().Build(set, nil)
		if err != nil {
			rt.Fatal(err)
		}
		defer closeClients(table, nil)
		public := name.Draw(rt, "public")
		r := table.Route([]byte(public))
		if r == nil {
			return
		}
		target := &r.tiers[0].targets[0]
		got := target.Upstream(nil, []byte(public), true)
		if want := `"` + table.Providers[0].UpstreamName(public) + `"`; string(got) != want {
			rt.Fatalf("%s by %v: the route asks for %s, the record says %s", public, mapping, got, want)
		}
	})
}

// Pick gives every target once, the first tier's first, and then nil.
func TestPickExhaustsTheTargets(t *testing.T) {
	table := build(t, newTestBuilder(), declare("a m=x", "b m=x", "c m=x priority=1"), nil)
	r := table.Route([]byte("m"))
	for range 100 {
		var tried Tried
		var names []string
		for {
			x, _ := r.Pick(rand.Uint64(), &tried, 1)
			if x == nil {
				break
			}
			tried.Add(x)
			names = append(names, x.Provider.Name)
		}
		if len(names) != 3 || names[2] != "c" || names[0] == names[1] {
			t.Fatalf("picked %v", names)
		}
	}
}

// A provider that rests is passed over while another is fit, and asked when none is.
func TestPickPassesOverTheResting(t *testing.T) {
	table := build(t, newTestBuilder(), declare("a m=x", "b m=x", "c m=x priority=1"), nil)
	r := table.Route([]byte("m"))
	now := time.Now().UnixNano()
	rest := func(i int) {
		for x := range r.Targets {
			if i--; i < 0 {
				pass, _ := x.Breaker.Enter(now)
				x.Breaker.Limited(pass, now, now+int64(time.Hour))
				return
			}
		}
	}
	f := func(want string) {
		t.Helper()
		for range 100 {
			x, pass := r.Pick(rand.Uint64(), &Tried{}, now)
			x.Breaker.Abandoned(pass, now)
			if got := x.Provider.Name; !strings.Contains(want, got) {
				t.Fatalf("picked %s, want one of %s", got, want)
			}
		}
	}
	f("ab")
	rest(0)
	f("b")
	rest(1)
	f("c")
	rest(2)
	f("ab")
}

func TestCallers(t *testing.T) {
	one := int64(1)
	set := declare("a m=x")
	set.Credentials = []config.Credential{
		{ID: 1, Hash: config.HashKey("sk-all-000000"), Name: "all", Enabled: true},
		{ID: 2, Hash: config.HashKey("sk-some-00000"), Name: "some", Enabled: true, AllowedModels: []string{"gpt-4", "open/*"}, RateLimit: &one},
		{ID: 3, Hash: config.HashKey("sk-off-000000"), Name: "off"},
		{ID: 4, Hash: config.HashKey("sk-star-00000"), Name: "star", Enabled: true, AllowedModels: []string{"x", "*"}},
	}
	table := build(t, newTestBuilder(), set, nil)
	f := func(key, name string, allowed, refused string) {
		t.Helper()
		c := table.Caller([]byte(key))
		if c == nil {
			if name != "" {
				t.Errorf("%q: nobody, want %s", key, name)
			}
			return
		}
		if c.Name != name {
			t.Errorf("%q: %s, want %q", key, c.Name, name)
		}
		for _, m := range strings.Fields(allowed) {
			if !c.Allows([]byte(m)) {
				t.Errorf("%s may not use %s", name, m)
			}
		}
		for _, m := range strings.Fields(refused) {
			if c.Allows([]byte(m)) {
				t.Errorf("%s may use %s", name, m)
			}
		}
	}
	f("", "", "", "")
	f("sk-none-00000", "", "", "")
	f("sk-off-000000", "", "", "")
	f(config.HashKey("sk-all-000000"), "", "", "")
	f("sk-all-000000", "all", "gpt-4 anything", "")
	f("sk-star-00000", "star", "gpt-4 x", "")
	f("sk-some-00000", "some", "gpt-4 open/ open/x", "gpt-4o GPT-4 open gpt-")
}

// What outlives a reload is lent; what changed is new.
func TestReloadKeepsWhatSurvives(t *testing.T) {
	b := newTestBuilder()
	set := declare("a m=x", "b m=x")
	ten := int64(10)
	set.Credentials = []config.Credential{{ID: 1, Hash: config.HashKey("sk-all-000000"), Name: "all", Enabled: true, RateLimit: &ten}}
	source := &memory{set: set}
	l := NewLive(b, source, nil)
	if !l.Table().Empty() || l.Table().Route([]byte("m")) != nil || l.Table().Caller([]byte("x")) != nil {
		t.Error("the first table is not empty")
	}
	first, err := l.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first.Providers[0].Learned.RefusesStreamOptions.Store(true)
	bucket := first.Caller([]byte("sk-all-000000")).Bucket
	for range 10 {
		bucket.Take(1e9)
	}

	next := declare("a m=y weight=5", "b m=x")
	next.Version = 2
	next.Providers[0].Type = "azure"
	next.Providers[1].APIKey = "sk-new"
	next.Credentials = set.Credentials
	source.set = next
	second, err := l.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeClients(second, nil) })
	if second.Providers[0].Client != first.Providers[0].Client || !second.Providers[0].Learned.RefusesStreamOptions.Load() {
		t.Error("a provider whose address and key stayed lost its connections, or what was learned of it")
	}
	if was, is := first.Providers[0].Type, second.Providers[0].Type; was != set.Providers[0].Type || is != "azure" {
		t.Errorf("its type was %q and is %q: with the connections came what is declared anew", was, is)
	}
	if second.Route([]byte("m")).tiers[0].targets[0].Breaker != first.Route([]byte("m")).tiers[0].targets[0].Breaker {
		t.Error("a reload forgot the health of a target that stayed")
	}
	if second.Providers[1].Client == first.Providers[1].Client {
		t.Error("a provider with another key kept its client")
	}
	if v := second.Caller([]byte("sk-all-000000")).Bucket.Take(1e9); v.OK {
		t.Error("a reload filled the bucket")
	}
}

// A configuration that does not load or validate is refused and the old one serves on.
func TestBadConfigurationIsRefused(t *testing.T) {
	b := newTestBuilder()
	source := &memory{set: declare("a m=x")}
	l := NewLive(b, source, nil)
	good, err := l.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeClients(good, nil) })
	bad := declare("a m=x", "a m=y")
	bad.Version = 2
	source.set = bad
	var problems config.Problems
	if _, err := l.Reload(t.Context()); !errors.As(err, &problems) {
		t.Errorf("two providers of one name: %v", err)
	}
	source.err = errors.New("away")
	if _, err := l.Reload(t.Context()); !errors.Is(err, source.err) {
		t.Errorf("a source that is away: %v", err)
	}
	if l.Table() != good {
		t.Error("the old table does not serve any more")
	}
}

type memory struct {
	set *config.Set
	err error
}

func (m *memory) Load(context.Context) (*config.Set, error) { return m.set, m.err }
func (m *memory) Version(context.Context) (int64, time.Time, error) {
	return m.set.Version, time.Time{}, m.err
}
