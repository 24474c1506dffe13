package admin_test

import (
	"os"
	"testing"
)

// TestLifeOfAPrice walks through every endpoint about prices; the answers are
// compared whole.
func TestLifeOfAPrice(t *testing.T) {
	g := start(t)
	golden(t, "prices_empty", g.want(200, "GET", "/admin/v1/prices", ""))
	golden(t, "price_created", g.want(201, "POST", "/admin/v1/prices",
		`{"model":"gpt-4o","input":2.5,"cached_input":1.25,"output":10,"source":"https://openai.com/api/pricing","as_of":"2026-11-23"}`))
	if p := g.serving().Prices[0]; p.Input.String() != "2.5" || p.Output.String() != "10" || p.CachedInput.String() != "1.25" || p.Reasoning != nil {
		t.Errorf("after the create %+v serves", p)
	}
	golden(t, "price_taken", g.want(409, "POST", "/admin/v1/prices", `{"model":"gpt-4o","input":1,"output":1}`))
	g.want(201, "POST", "/admin/v1/prices", `{"model":"gpt-4o","provider":"azure","input":0.000001,"output":0}`)

	golden(t, "price_updated", g.want(200, "PATCH", "/admin/v1/prices/1", `{"output":8,"cached_input":null,"reasoning":12.5}`))
	golden(t, "price_one", g.want(200, "GET", "/admin/v1/prices/1", ""))
	golden(t, "prices_imported", g.want(200, "POST", "/admin/v1/prices/import",
		`{"prices":[{"model":"gpt-4o","input":3,"output":9},{"model":"text-embedding-*","input":0.02,"output":0}]}`))
	golden(t, "prices_all", g.want(200, "GET", "/admin/v1/prices", ""))

	golden(t, "price_deleted", g.want(200, "DELETE", "/admin/v1/prices/1", ""))
	golden(t, "price_unknown", g.want(404, "DELETE", "/admin/v1/prices/1", ""))
	if s := g.serving(); len(s.Prices) != 2 {
		t.Errorf("after the DELETE %+v serves", s.Prices)
	}
}

// What is wrong with a price is named, and nothing of an import is stored then.
func TestPricesThatAreRefused(t *testing.T) {
	g := start(t)
	golden(t, "price_invalid", g.want(422, "POST", "/admin/v1/prices",
		`{"model":"a*b","input":-1,"output":"10","cached_input":1e3,"as_of":"yesterday","currency":"EUR"}`))
	golden(t, "prices_invalid", g.want(422, "POST", "/admin/v1/prices/import",
		`{"prices":[{"model":"a","input":1,"output":1},{"model":"a","input":2,"output":2},{"model":"b","input":0.0000001,"output":1},{"input":1}]}`))
	g.want(422, "POST", "/admin/v1/prices/import", `{"prices":{}}`)
	g.want(422, "POST", "/admin/v1/prices/import", `{}`)
	if s := g.serving(); len(s.Prices) != 0 {
		t.Errorf("%+v serves", s.Prices)
	}
}

// The prices that come with the project can be imported as they are.
func TestPublicPricesAreImported(t *testing.T) {
	g := start(t)
	prices, err := os.ReadFile("../deploy/prices.json")
	if err != nil {
		t.Fatal(err)
	}
	g.want(200, "POST", "/admin/v1/prices/import", string(prices))
	for _, p := range g.serving().Prices {
		if p.Source == "" || p.AsOf == "" || p.Input == 0 {
			t.Errorf("%s: %+v lacks where or when its figures are from", p.Model, p)
		}
	}
}
