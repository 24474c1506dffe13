package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"llmproxy/config"
	"llmproxy/internal/pgtest"
	"llmproxy/store"
)

func TestAnEmptyStoreIsAnEmptySet(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		set := load(t, s)
		if len(set.Providers) != 0 || len(set.Credentials) != 0 || set.Version < 1 {
			t.Errorf("got %d providers, %d credentials, version %d; want none, none, at least 1",
				len(set.Providers), len(set.Credentials), set.Version)
		}
	})
}

func TestWhatIsAddedIsThere(t *testing.T) {
	forBoth(t, keepsWhatIsAdded)

	// The forms in which DB_URL may name a pooler such as PgBouncer.
	for _, mode := range []string{"exec", "simple_protocol", "cache_describe"} {
		t.Run(mode, func(t *testing.T) {
			keepsWhatIsAdded(t, postgresHome(t, pgtest.New(t)+"&default_query_exec_mode="+mode))
		})
	}
}

func keepsWhatIsAdded(t *testing.T, h *home) {
	before := time.Now().Add(-time.Minute)
	s := h.open(t)
	p := addProvider(t, s, "openai-main")
	c := addCredential(t, s, "team-a")
	bare := &config.Provider{Key: "bare", Type: "x", APIBase: "http://bare"}
	if _, err := s.AddProvider(ctx(t), bare); err != nil {
		t.Fatal(err)
	}
	open := &config.Credential{Hash: config.HashKey("open"), Name: "open"}
	if _, err := s.AddCredential(ctx(t), open); err != nil {
		t.Fatal(err)
	}

	price := addPrice(t, s, "gpt-4o*")
	free := &config.Price{Model: "free"}
	if _, err := s.AddPrice(ctx(t), free); err != nil {
		t.Fatal(err)
	}

	// What had nothing in it comes back empty and not nil, as JSON shows it.
	bare.ModelMapping, open.AllowedModels, open.BudgetPeriod = map[string]string{}, []string{}, config.PeriodMonth
	want := &config.Set{
		Version:   version(t, s),
		Providers: []config.Provider{*p, *bare}, Credentials: []config.Credential{*c, *open},
		Prices: []config.Price{*price, *free},
	}
	if got := load(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if p.ID == 0 || p.CreatedAt.Before(before) || p.CreatedAt.After(time.Now().Add(time.Minute)) || !p.UpdatedAt.Equal(p.CreatedAt) {
		t.Errorf("id %d, created %v, updated %v are not of a new row", p.ID, p.CreatedAt, p.UpdatedAt)
	}

	one, v, err := s.Provider(ctx(t), p.ID)
	if err != nil || v != want.Version || !reflect.DeepEqual(one, *p) {
		t.Errorf("Provider: got %+v at %d, %v", one, v, err)
	}
	many, v, err := s.Providers(ctx(t))
	if err != nil || v != want.Version || !reflect.DeepEqual(many, want.Providers) {
		t.Errorf("Providers: got %+v at %d, %v", many, v, err)
	}
	oneC, v, err := s.Credential(ctx(t), c.ID)
	if err != nil || v != want.Version || !reflect.DeepEqual(oneC, *c) {
		t.Errorf("Credential: got %+v at %d, %v", oneC, v, err)
	}
	manyC, v, err := s.Credentials(ctx(t))
	if err != nil || v != want.Version || !reflect.DeepEqual(manyC, want.Credentials) {
		t.Errorf("Credentials: got %+v at %d, %v", manyC, v, err)
	}
	oneP, v, err := s.Price(ctx(t), price.ID)
	if err != nil || v != want.Version || !reflect.DeepEqual(oneP, *price) {
		t.Errorf("Price: got %+v at %d, %v", oneP, v, err)
	}
	manyP, v, err := s.Prices(ctx(t))
	if err != nil || v != want.Version || !reflect.DeepEqual(manyP, want.Prices) {
		t.Errorf("Prices: got %+v at %d, %v", manyP, v, err)
	}
}

func TestAChangeChangesOneRow(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		p, other := addProvider(t, s, "one"), addProvider(t, s, "two")
		c := addCredential(t, s, "team")

		v, err := s.ChangeProvider(ctx(t), p.ID, func(p *config.Provider) error {
			p.Key, p.APIBase, p.APIKey, p.Weight, p.Enabled = "uno", "http://uno", "", 0, false
			p.ModelMapping, p.Params = nil, config.Params{}
			p.ID, p.CreatedAt = 99, time.Time{} // not ours to change
			return nil
		})
		if err != nil || v != version(t, s) {
			t.Fatalf("version %d, %v; want %d", v, err, version(t, s))
		}
		if _, err := s.ChangeCredential(ctx(t), c.ID, func(c *config.Credential) error {
			c.RateLimit, c.Name, c.AllowedModels = nil, "squad", nil
			return nil
		}); err != nil {
			t.Fatal(err)
		}

		set := load(t, s)
		got := set.Providers[0]
		if got.UpdatedAt.Before(p.UpdatedAt) || !got.CreatedAt.Equal(p.CreatedAt) {
			t.Errorf("created %v, updated %v; want %v and not before %v", got.CreatedAt, got.UpdatedAt, p.CreatedAt, p.UpdatedAt)
		}
		got.UpdatedAt = p.UpdatedAt
		want := config.Provider{
			ID: p.ID, Key: "uno", Type: "openai", APIBase: "http://uno", ModelMapping: map[string]string{},
			Priority: 2, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("\n got %+v\nwant %+v", got, want)
		}
		if !reflect.DeepEqual(set.Providers[1], *other) {
			t.Errorf("another provider changed: %+v", set.Providers[1])
		}
		if got := set.Credentials[0]; got.RateLimit != nil || got.Name != "squad" || len(got.AllowedModels) != 0 || got.Hash != c.Hash {
			t.Errorf("credential: got %+v", got)
		}
	})
}

func TestAChangeThatFailsStoresNothing(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		p, c := addProvider(t, s, "one"), addCredential(t, s, "team")
		before := load(t, s)

		refused := errors.New("not valid")
		if _, err := s.ChangeProvider(ctx(t), p.ID, func(p *config.Provider) error { p.Weight = 7; return refused }); err != refused {
			t.Errorf("got %v, want the error of the change itself", err)
		}
		if _, err := s.ChangeCredential(ctx(t), c.ID, func(c *config.Credential) error { c.Name = "x"; return refused }); err != refused {
			t.Errorf("got %v, want the error of the change itself", err)
		}
		if after := load(t, s); !reflect.DeepEqual(after, before) {
			t.Errorf("\n got %+v\nwant %+v", after, before)
		}

		// A change that panics gives its lock back.
		func() {
			defer func() { _ = recover() }()
			_, _ = s.ChangeProvider(ctx(t), p.ID, func(*config.Provider) error { panic("a bug") })
		}()
		if _, err := s.RemoveProvider(ctx(t), p.ID); err != nil {
			t.Errorf("after a panic: %v", err)
		}
	})
}

func TestTheSameKeyTwiceIsADuplicate(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		one, two := addProvider(t, s, "one"), addProvider(t, s, "two")
		c, other := addCredential(t, s, "team"), addCredential(t, s, "other")
		before := version(t, s)

		f := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, store.ErrDuplicate) || errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: got %v, want ErrDuplicate", what, err)
			}
		}
		_, err := s.AddProvider(ctx(t), provider(one.Key))
		f("add provider", err)
		_, err = s.ChangeProvider(ctx(t), two.ID, func(p *config.Provider) error { p.Key = one.Key; return nil })
		f("change provider", err)
		_, err = s.AddCredential(ctx(t), credential(c.Name))
		f("add credential", err)
		_, err = s.ChangeCredential(ctx(t), other.ID, func(o *config.Credential) error { o.Hash = c.Hash; return nil })
		f("change credential", err)

		if after := version(t, s); after != before {
			t.Errorf("the version went from %d to %d", before, after)
		}
	})
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		gone := addProvider(t, s, "gone")
		if _, err := s.RemoveProvider(ctx(t), gone.ID); err != nil {
			t.Fatal(err)
		}
		goneC := addCredential(t, s, "gone")
		if _, err := s.RemoveCredential(ctx(t), goneC.ID); err != nil {
			t.Fatal(err)
		}
		before := version(t, s)

		f := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: got %v, want ErrNotFound", what, err)
			}
		}
		for _, id := range []int64{gone.ID, goneC.ID, 0, -1, 1 << 62} {
			_, _, err := s.Provider(ctx(t), id)
			f("provider", err)
			_, err = s.ChangeProvider(ctx(t), id, func(*config.Provider) error { t.Error("change was called"); return nil })
			f("change provider", err)
			_, err = s.RemoveProvider(ctx(t), id)
			f("remove provider", err)
			_, _, err = s.Credential(ctx(t), id)
			f("credential", err)
			_, err = s.ChangeCredential(ctx(t), id, func(*config.Credential) error { t.Error("change was called"); return nil })
			f("change credential", err)
			_, err = s.RemoveCredential(ctx(t), id)
			f("remove credential", err)
			_, _, err = s.Price(ctx(t), id)
			f("price", err)
			_, err = s.ChangePrice(ctx(t), id, func(*config.Price) error { t.Error("change was called"); return nil })
			f("change price", err)
			_, err = s.RemovePrice(ctx(t), id)
			f("remove price", err)
		}
		if after := version(t, s); after != before {
			t.Errorf("the version went from %d to %d", before, after)
		}

		// The id of a removed row is never given to another: buckets and metrics hang on it.
		if next := addCredential(t, s, "next"); next.ID <= goneC.ID {
			t.Errorf("id %d after %d was removed", next.ID, goneC.ID)
		}
	})
}

func TestEveryCommitRaisesTheVersion(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		last := version(t, s)
		f := func(what string, v int64, err error) {
			t.Helper()
			if err != nil || v <= last {
				t.Errorf("%s: version %d after %d, %v", what, v, last, err)
			}
			if now := version(t, s); now != v {
				t.Errorf("%s returned version %d, the store is at %d", what, v, now)
			}
			last = v
		}
		p, c := provider("one"), credential("team")
		v, err := s.AddProvider(ctx(t), p)
		f("add provider", v, err)
		v, err = s.AddCredential(ctx(t), c)
		f("add credential", v, err)
		v, err = s.ChangeProvider(ctx(t), p.ID, func(p *config.Provider) error { p.Weight++; return nil })
		f("change provider", v, err)
		v, err = s.ChangeProvider(ctx(t), p.ID, func(*config.Provider) error { return nil })
		f("change nothing", v, err)
		price := &config.Price{Model: "gpt-4o", Input: 1}
		v, err = s.AddPrice(ctx(t), price)
		f("add price", v, err)
		v, err = s.ChangePrice(ctx(t), price.ID, func(p *config.Price) error { p.Output = 2; return nil })
		f("change price", v, err)
		v, err = s.PutPrices(ctx(t), []config.Price{{Model: "gpt-4o", Input: 7}, {Model: "other", Output: 3}})
		f("put prices", v, err)
		if got := load(t, s).Prices; len(got) != 2 || got[0].ID != price.ID || got[0].Input != 7 || got[0].Output != 0 || got[1].Output != 3 {
			t.Errorf("after putting two prices: %+v", got)
		}
		v, err = s.RemovePrice(ctx(t), price.ID)
		f("remove price", v, err)
		v, err = s.ChangeCredential(ctx(t), c.ID, func(c *config.Credential) error { c.Budget = nil; c.ExpiresAt = time.Time{}; return nil })
		f("lift a budget", v, err)
		v, err = s.ChangeCredential(ctx(t), c.ID, func(c *config.Credential) error { c.Enabled = false; return nil })
		f("change credential", v, err)
		v, err = s.RemoveProvider(ctx(t), p.ID)
		f("remove provider", v, err)
		v, err = s.RemoveCredential(ctx(t), c.ID)
		f("remove credential", v, err)
	})
}

func TestEditsByHandRaiseTheVersionAndTheTime(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		f := func(statement string) {
			t.Helper()
			before, since, err := s.Version(ctx(t))
			if err != nil {
				t.Fatal(err)
			}
			h.edit(t, statement)
			after, at, err := s.Version(ctx(t))
			if err != nil || after <= before || at.Before(since) {
				t.Errorf("%s: version %d after %d, at %v after %v, %v", statement, after, before, at, since, err)
			}
		}
		// Only what only the operator can know.
		f(`INSERT INTO providers (provider_key, api_base) VALUES ('hand', 'https://hand.example/v1')`)
		f(`INSERT INTO credentials (credential_key, name) VALUES ('` + config.HashKey("sk-hand") + `', 'hand')`)

		set := load(t, s)
		if p := set.Providers[0]; p.Type != "openai" || p.Weight != 1 || p.Priority != 0 || !p.Enabled || p.CreatedAt.IsZero() || p.APIKey != "" {
			t.Errorf("the defaults of a provider are %+v", p)
		}
		if c := set.Credentials[0]; c.RateLimit != nil || !c.Enabled || len(c.AllowedModels) != 0 || c.CreatedAt.IsZero() {
			t.Errorf("the defaults of a credential are %+v", c)
		}

		h.edit(t, `UPDATE providers SET updated_at = '2001-01-01T00:00:00Z'`)
		h.edit(t, `UPDATE credentials SET updated_at = '2001-01-01T00:00:00Z'`)
		f(`UPDATE providers SET weight = 5, model_mapping = '{"a":"b"}'`)
		f(`UPDATE credentials SET rate_limit = 5, allowed_models = '["a"]'`)
		set = load(t, s)
		if p := set.Providers[0]; p.Weight != 5 || p.ModelMapping["a"] != "b" || p.UpdatedAt.Year() == 2001 {
			t.Errorf("after the edit: %+v", p)
		}
		if c := set.Credentials[0]; *c.RateLimit != 5 || c.AllowedModels[0] != "a" || c.UpdatedAt.Year() == 2001 {
			t.Errorf("after the edit: %+v", c)
		}
		f(`DELETE FROM providers`)
		f(`DELETE FROM credentials`)
	})
}

// An edit through a session that looks for its tables elsewhere works too.
func TestPostgresTriggersFindTheVersionWhateverTheSearchPath(t *testing.T) {
	h := postgresHome(t, pgtest.New(t))
	s := h.open(t)
	before := version(t, s)
	h.edit(t, `SET search_path TO pg_catalog; INSERT INTO public.providers (provider_key, api_base) VALUES ('hand', 'http://hand'); RESET search_path`)
	h.edit(t, `TRUNCATE public.providers`)
	if after := version(t, s); after != before+2 {
		t.Errorf("version %d after %d, want one more for each statement", after, before)
	}
	h.edit(t, `DELETE FROM config_version`)
	h.edit(t, `INSERT INTO providers (provider_key, api_base) VALUES ('hand', 'http://hand')`)
	if load(t, s).Version != 1 {
		t.Error("a removed version does not come back with the next change")
	}
}

func TestTheDatabaseRefusesWhatNoConfigurationCanBe(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		f := func(statement string) {
			t.Helper()
			if _, err := h.hand.ExecContext(ctx(t), statement); err == nil {
				t.Errorf("%s: no error", statement)
			}
		}
		f(`INSERT INTO providers (provider_key, api_base) VALUES ('', 'http://x')`)
		f(`INSERT INTO providers (provider_key, api_base) VALUES ('x', '')`)
		f(`INSERT INTO providers (provider_key, api_base, weight) VALUES ('x', 'http://x', -1)`)
		f(`INSERT INTO providers (provider_key, api_base, model_mapping) VALUES ('x', 'http://x', '[]')`)
		f(`INSERT INTO providers (provider_key, api_base, provider_params) VALUES ('x', 'http://x', '{"a"')`)
		f(`INSERT INTO credentials (credential_key, name) VALUES ('sk-a-key-in-plain-text', 'x')`)
		f(`INSERT INTO credentials (credential_key, name, allowed_models) VALUES ('` + config.HashKey("x") + `', 'x', '{}')`)
		f(`INSERT INTO credentials (credential_key, name, rate_limit) VALUES ('` + config.HashKey("x") + `', 'x', -1)`)
		f(`INSERT INTO config_version (id, version) VALUES (2, 1)`)

		// The same through the store is an error, and no outage.
		bad := provider("x")
		bad.Weight = -1
		if _, err := s.AddProvider(ctx(t), bad); err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrDuplicate) {
			t.Errorf("a weight of -1: got %v", err)
		}
	})
}

func TestChangesAtOnceAreAllKept(t *testing.T) {
	forBoth(t, func(t *testing.T, h *home) {
		s := h.open(t)
		p := addProvider(t, s, "one")
		const writers, each = 6, 10
		var group sync.WaitGroup
		errs := make(chan error, writers*each)
		for w := range writers {
			group.Go(func() {
				for i := range each {
					_, err := s.ChangeProvider(ctx(t), p.ID, func(p *config.Provider) error {
						p.Weight++
						p.ModelMapping[fmt.Sprintf("m-%d-%d", w, i)] = "x"
						return nil
					})
					errs <- err
					if _, err := s.Load(ctx(t)); err != nil {
						errs <- err
					}
				}
			})
		}
		group.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				t.Error(err)
			}
		}
		got := load(t, s).Providers[0]
		if got.Weight != p.Weight+writers*each || len(got.ModelMapping) != len(p.ModelMapping)+writers*each {
			t.Errorf("weight %d and %d mappings, want %d and %d", got.Weight, len(got.ModelMapping), p.Weight+writers*each, len(p.ModelMapping)+writers*each)
		}
	})
}
