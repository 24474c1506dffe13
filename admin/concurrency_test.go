package admin_test

import (
	"fmt"
	"sync"
	"testing"
)

// TestTwoAdminsChangeOneProvider: each changes his own fields, and no change
// undoes another. Every write has a version of its own, and serves when it is
// answered.
func TestTwoAdminsChangeOneProvider(t *testing.T) {
	g := start(t)
	g.want(201, "POST", "/admin/v1/providers", seedProvider)
	const rounds = 25
	var mu sync.Mutex
	versions := map[int64]bool{}
	var admins sync.WaitGroup
	for _, field := range []string{"weight", "priority"} {
		admins.Go(func() {
			for i := 1; i <= rounds; i++ {
				got := g.do("PATCH", "/admin/v1/providers/1", fmt.Sprintf(`{"%s":%d}`, field, i))
				if got.status != 200 {
					t.Errorf("%s: %d %s", field, got.status, got.body)
					return
				}
				var body struct{ Version int64 }
				got.decode(t, &body)
				p := g.serving().Providers[0]
				if now := map[string]int{"weight": p.Weight, "priority": p.Priority}[field]; now != i || g.serving().Version < body.Version {
					t.Errorf("%s %d is answered, %d serves", field, i, now)
				}
				mu.Lock()
				if versions[body.Version] {
					t.Errorf("version %d was given twice", body.Version)
				}
				versions[body.Version] = true
				mu.Unlock()
			}
		})
	}
	admins.Wait()
	if p := g.serving().Providers[0]; p.Weight != rounds || p.Priority != rounds || len(versions) != 2*rounds {
		t.Errorf("in the end weight %d and priority %d serve, after %d versions", p.Weight, p.Priority, len(versions))
	}
}

// TestOneOfTwoWins: of many who create the same provider one succeeds.
func TestOneOfTwoWins(t *testing.T) {
	g := start(t)
	var admins sync.WaitGroup
	statuses := make(chan int, 8)
	for range cap(statuses) {
		admins.Go(func() { statuses <- g.do("POST", "/admin/v1/providers", seedProvider).status })
	}
	admins.Wait()
	close(statuses)
	count := map[int]int{}
	for s := range statuses {
		count[s]++
	}
	if count[201] != 1 || count[409] != cap(statuses)-1 {
		t.Errorf("answers %v, want one 201 and the others 409", count)
	}
}
