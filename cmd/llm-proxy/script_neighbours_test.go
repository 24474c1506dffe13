package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"llmproxy/internal/fakeprovider"
	"llmproxy/internal/pgtest"
)

// provider starts a provider that takes one key, or finds an address where
// there is none.
func (w *world) provider(l line) {
	name := l.at(0)
	key := "sk-provider-" + name
	l.Setenv(name+"_KEY", key)
	switch l.at(1) {
	case "refusing":
		l.Setenv(name, "http://"+fakeprovider.Refusing(w.tb)+"/v1")
		return
	case "hanging":
		l.Setenv(name, "http://"+fakeprovider.Hanging(w.tb)+"/v1")
		return
	case "untrusted":
		l.Setenv(name, fakeprovider.Start(w.tb, fakeprovider.Options{TLS: true}).URL())
		return
	}
	w.providers[name] = fakeprovider.Start(w.tb, fakeprovider.Options{Key: key})
	l.Setenv(name, w.providers[name].URL())
	w.answers(l)
}

// named is the provider that the line is about.
func (w *world) named(l line) *fakeprovider.Provider {
	p := w.providers[l.at(0)]
	if p == nil {
		l.Fatalf("there is no provider %q", l.at(0))
	}
	return p
}

func (w *world) answers(l line) {
	w.says[l.at(0)] = textIn(l.words)
	if len(l.words) < 2 {
		w.named(l).Handle(nil)
		return
	}
	h, err := fakeprovider.ParseScript(l.rest(1))
	l.Check(err)
	w.named(l).Handle(h)
}

func (w *world) once(l line) {
	h, err := fakeprovider.ParseScript(l.rest(1))
	l.Check(err)
	w.named(l).ScriptFunc(h)
}

func (w *world) asked(l line) {
	n := w.named(l).Count()
	l.is(strconv.Itoa(n) == l.at(1), "%s was asked %d times", l.at(0), n)
}

func (w *world) gone(l line) {
	r := w.named(l).Last()
	if r == nil {
		l.Fatalf("%s was not asked", l.at(0))
	}
	r.WaitGone(w.tb)
}

func (w *world) saw(l line) {
	r := w.named(l).Last()
	if r == nil {
		l.Fatalf("%s was not asked", l.at(0))
	}
	got, _ := lookUp(r.Body, l.at(1))
	l.is(got == l.rest(2), "%s saw %q in %s", l.at(0), got, r.Body)
}

func (w *world) postgres(l line) {
	switch l.at(0) {
	case "":
		l.Setenv("DB_URL", pgtest.New(w.tb))
	case "own":
		w.server = pgtest.NewServer(w.tb)
		l.Setenv("DB_URL", w.server.URL())
	case "stop":
		w.server.Stop(w.tb)
	case "start":
		w.server.Start(w.tb)
	case "passwords":
		w.server.RequirePasswords(w.tb)
	default:
		l.Fatalf("postgres, postgres own, postgres stop, postgres start, postgres passwords")
	}
}

func (w *world) sql(l line) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	db, err := pgx.Connect(ctx, l.Getenv("DB_URL"))
	l.Check(err)
	defer db.Close(ctx)
	_, err = db.Exec(ctx, l.rest(0), pgx.QueryExecModeSimpleProtocol)
	l.Check(err)
}

// fieldsOf turns the words field=value into an object. A value is JSON, or else
// a text.
func fieldsOf(l line, from int, defaults map[string]any) map[string]any {
	for _, word := range l.words[from:] {
		name, value, _ := strings.Cut(word, "=")
		if name == "models" {
			mapping := map[string]string{}
			for model := range strings.SplitSeq(value, ",") {
				mapping[model] = model
			}
			defaults["model_mapping"] = mapping
			continue
		}
		defaults[name] = valueOf(value)
	}
	return defaults
}
