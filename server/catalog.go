package server

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-json"

	"llmproxy/metrics"
	"llmproxy/route"
	"llmproxy/upstream"
)

// catalog knows the names of the models that providers serve without their
// being declared one by one (an empty mapping, a pattern): it asks them with
// GET models, for /v1/models only, and remembers the answer for a while.
type catalog struct {
	most    int              // bytes of a provider's answer; a longer one is none
	tooLong *metrics.Counter // answers

	mu    sync.Mutex // guards lists; held while providers are asked, so that one asks for all
	lists map[*upstream.Client]listing
}

type listing struct {
	names []string
	until int64 // unix nanoseconds
}

const (
	listingKept    = 60 * time.Second
	listingRetry   = 5 * time.Second // after a provider that did not answer
	listingTimeout = 3 * time.Second
)

// names returns every public model name that the table serves, sorted.
func (c *catalog) names(t *route.Table) []string {
	var all []string
	for name := range t.Models {
		all = append(all, name)
	}
	all = append(all, c.learned(t)...)
	slices.Sort(all)
	return slices.Compact(all)
}

// has reports whether the table serves the model: by a declared name, or by a
// provider that knows it.
func (c *catalog) has(t *route.Table, public string) bool {
	r := t.Route([]byte(public))
	if r == nil {
		return false
	}
	return r.Declared() || slices.Contains(c.learned(t), public)
}

// learned returns the names that open providers say they have and the table
// routes to them.
func (c *catalog) learned(t *route.Table) []string {
	open := openProviders(t)
	if len(open) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refreshLocked(open)
	var names []string
	for _, p := range open {
		for _, own := range c.lists[p.Client].names {
			names = append(names, p.PublicNames(own)...)
		}
	}
	return names
}

// openProviders lists the enabled providers whose models are not all declared by name.
func openProviders(t *route.Table) []*route.Provider {
	var open []*route.Provider
	for _, p := range t.Providers {
		if p.Enabled && p.Open() {
			open = append(open, p)
		}
	}
	return open
}

// refreshLocked asks the providers whose lists are old, all at once, and
// forgets the lists of those that are gone.
func (c *catalog) refreshLocked(open []*route.Provider) {
	lists := make(map[*upstream.Client]listing, len(open))
	var (
		wg sync.WaitGroup
		mu sync.Mutex // guards lists
	)
	for _, p := range open {
		if old, ok := c.lists[p.Client]; ok && now() < old.until {
			lists[p.Client] = old
			continue
		}
		wg.Go(func() {
			l := c.ask(p.Client)
			mu.Lock()
			lists[p.Client] = l
			mu.Unlock()
		})
	}
	wg.Wait()
	c.lists = lists
}

// ask asks a provider for its models. One that does not answer has none
// for the moment.
func (c *catalog) ask(client *upstream.Client) listing {
	var a upstream.Attempt
	timer := time.AfterFunc(listingTimeout, func() { a.Cancel(upstream.Deadline) })
	defer a.Close()
	defer timer.Stop()
	failed := listing{until: now() + int64(listingRetry)}
	if err := a.Send(client, &upstream.Request{Method: "GET", Path: "/models"}); err != nil || a.Status() != 200 {
		return failed
	}
	a.Await(upstream.Body)
	body, err := readUpTo(&a, nil, c.most)
	if err == errMore {
		c.tooLong.Inc()
	}
	if err != nil {
		return failed
	}
	var answer struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if json.Unmarshal(bytes.TrimSpace(body), &answer) != nil {
		return failed
	}
	l := listing{until: now() + int64(listingKept)}
	for _, m := range answer.Data {
		if m.ID != "" && !strings.ContainsFunc(m.ID, isControl) {
			l.names = append(l.names, m.ID)
		}
	}
	return l
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
