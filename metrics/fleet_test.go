package metrics

import (
	"fmt"
	"time"
)

// fleet is a gateway where every key has used every model of every provider.
func fleet(providers, models, keys int) *Registry {
	r := New(Options{})
	labels := func(kind string, n int) (all []Label) {
		for i := range n {
			all = append(all, r.Label(fmt.Sprint(kind, " ", i)))
		}
		return all
	}
	provider, model, key := labels("provider", providers), labels("model", models), labels("key", keys)
	for _, p := range provider {
		r.Provider(p)
		for _, m := range model {
			r.Model(m, p)
		}
	}
	for _, k := range key {
		r.KeyLimits(k, true)
	}
	post, chat := r.Label("POST"), r.Label("/v1/chat/completions")
	for i := range providers * models * keys {
		k := Key{post, chat, model[i%models], provider[i/models%providers], key[i/models/providers]}
		q := r.Requests(k)
		q.Done(200, time.Duration(i)*time.Millisecond)
		q.Tokens(1, 2, 3, 4)
	}
	return r
}
