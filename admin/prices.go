package admin

import (
	"encoding/json"
	"fmt"
	"time"

	"llmproxy/config"
)

// priceFields is what a body about a price may hold. Amounts are US dollars
// per million tokens.
var priceFields = []field[config.Price]{
	{"model", true, readString(func(p *config.Price) *string { return &p.Model })},
	{"provider", false, readString(func(p *config.Price) *string { return &p.Provider })},
	{"input", true, readUSD(func(p *config.Price) *config.USD { return &p.Input })},
	{"output", true, readUSD(func(p *config.Price) *config.USD { return &p.Output })},
	{"cached_input", false, readOptionalUSD(func(p *config.Price) **config.USD { return &p.CachedInput })},
	{"reasoning", false, readOptionalUSD(func(p *config.Price) **config.USD { return &p.Reasoning })},
	{"source", false, readString(func(p *config.Price) *string { return &p.Source })},
	{"as_of", false, readString(func(p *config.Price) *string { return &p.AsOf })},
}

func checkPriceFields(p *config.Price) config.Problems { return p.Validate() }

// priceView is a price as answers show it.
type priceView struct {
	ID          int64       `json:"id"`
	Model       string      `json:"model"`
	Provider    string      `json:"provider"`
	Input       config.USD  `json:"input"`
	Output      config.USD  `json:"output"`
	CachedInput *config.USD `json:"cached_input"`
	Reasoning   *config.USD `json:"reasoning"`
	Source      string      `json:"source"`
	AsOf        string      `json:"as_of"`
	CreatedAt   time.Time   `json:"created_at"`
	UpdatedAt   time.Time   `json:"updated_at"`
}

func viewPrice(p *config.Price) priceView {
	return priceView{
		ID: p.ID, Model: p.Model, Provider: p.Provider, Input: p.Input, Output: p.Output,
		CachedInput: p.CachedInput, Reasoning: p.Reasoning, Source: p.Source, AsOf: p.AsOf,
		CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(),
	}
}

type priceList struct {
	Version int64       `json:"version"`
	Prices  []priceView `json:"prices"`
}

type priceAnswer struct {
	Version int64     `json:"version"`
	Price   priceView `json:"price"`
	unserved
}

type imported struct {
	Version  int64 `json:"version"`
	Imported int   `json:"imported"`
	unserved
}

func aboutPrice(id int64, err error) error { return about("price", "model", id, err) }

// listPrices answers GET /admin/v1/prices.
func (a *API) listPrices(*call) (int, any, error) {
	ctx, cancel := a.storeContext()
	defer cancel()
	prices, version, err := a.Store.Prices(ctx)
	if err != nil {
		return 0, nil, err
	}
	list := priceList{Version: version, Prices: make([]priceView, len(prices))}
	for i := range prices {
		list.Prices[i] = viewPrice(&prices[i])
	}
	return 200, list, nil
}

// getPrice answers GET /admin/v1/prices/{id}.
func (a *API) getPrice(x *call) (int, any, error) {
	id, err := x.objectID("price")
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := a.storeContext()
	defer cancel()
	p, version, err := a.Store.Price(ctx, id)
	if err != nil {
		return 0, nil, aboutPrice(id, err)
	}
	return 200, priceAnswer{Version: version, Price: viewPrice(&p)}, nil
}

// createPrice answers POST /admin/v1/prices.
func (a *API) createPrice(x *call) (int, any, error) {
	body, err := readBody(x.http, a.MaxBody)
	if err != nil {
		return 0, nil, err
	}
	p, problems := parsePrice(body)
	if len(problems) > 0 {
		return 0, nil, problems
	}
	ctx, cancel := a.storeContext()
	defer cancel()
	version, err := a.Store.AddPrice(ctx, &p)
	if err != nil {
		return 0, nil, aboutPrice(0, err)
	}
	status, late := a.serve(x, 201, change{"create", "price", p.ID, version})
	return status, priceAnswer{version, viewPrice(&p), late}, nil
}

// parsePrice reads a new price.
func parsePrice(body []byte) (p config.Price, problems config.Problems) {
	d := parse(body, priceFields)
	d.require()
	problems = d.judge(&p, checkPriceFields)
	return p, problems
}

// maxImport is how many prices one import may hold; they are one transaction.
const maxImport = 5000

// importPrices answers POST /admin/v1/prices/import: a list of prices, each in
// place of the one of the same provider and model. It is all or nothing.
func (a *API) importPrices(x *call) (int, any, error) {
	body, err := readBody(x.http, a.MaxBody)
	if err != nil {
		return 0, nil, err
	}
	prices, problems := parsePrices(body)
	if len(problems) > 0 {
		return 0, nil, problems
	}
	ctx, cancel := a.storeContext()
	defer cancel()
	version, err := a.Store.PutPrices(ctx, prices)
	if err != nil {
		return 0, nil, err
	}
	status, late := a.serve(x, 200, change{"import", "price", 0, version})
	return status, imported{version, len(prices), late}, nil
}

// parsePrices reads {"prices": [...]}; problems name the entry. Two entries
// for the same would be a guess.
func parsePrices(body []byte) ([]config.Price, config.Problems) {
	var prices []config.Price
	field := []field[[]config.Price]{{"prices", true, readPrices}}
	d := parse(body, field)
	d.require()
	problems := d.judge(&prices, func(*[]config.Price) config.Problems { return nil })
	return prices, problems
}

func readPrices(to *[]config.Price, name string, raw []byte) (problems config.Problems) {
	var entries []json.RawMessage
	if config.KindOf(raw) != "a list" || json.Unmarshal(raw, &entries) != nil {
		return wrong(name, "a list", raw)
	}
	if len(entries) > maxImport {
		return config.Problems{{Field: name, Message: fmt.Sprintf("must be at most %d prices", maxImport)}}
	}
	seen := map[[2]string]bool{}
	for i, entry := range entries {
		p, wrong := parsePrice(entry)
		if at := [2]string{p.Provider, p.Model}; len(wrong) == 0 && seen[at] {
			wrong = config.Problems{{Field: "model", Message: "has another price of the same provider"}}
		} else {
			seen[at] = true
		}
		for _, w := range wrong {
			w.Field = fmt.Sprintf("%s[%d].%s", name, i, w.Field)
			problems = append(problems, w)
		}
		*to = append(*to, p)
	}
	return problems
}

// changePrice answers PUT and PATCH /admin/v1/prices/{id}: what is given is
// changed, the rest stays.
func (a *API) changePrice(x *call) (int, any, error) {
	id, err := x.objectID("price")
	if err != nil {
		return 0, nil, err
	}
	body, err := readBody(x.http, a.MaxBody)
	if err != nil {
		return 0, nil, err
	}
	var trial config.Price
	d := parse(body, priceFields)
	if problems := d.judge(&trial, checkPriceFields); len(problems) > 0 {
		return 0, nil, problems
	}
	ctx, cancel := a.storeContext()
	defer cancel()
	version, err := a.Store.ChangePrice(ctx, id, func(p *config.Price) error {
		d.fill(p)
		return p.Validate().Err()
	})
	if err != nil {
		return 0, nil, aboutPrice(id, err)
	}
	status, late := a.serve(x, 200, change{"update", "price", id, version})
	return status, done{version, "updated", late}, nil
}

// removePrice answers DELETE /admin/v1/prices/{id}.
func (a *API) removePrice(x *call) (int, any, error) {
	id, err := x.objectID("price")
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := a.storeContext()
	defer cancel()
	version, err := a.Store.RemovePrice(ctx, id)
	if err != nil {
		return 0, nil, aboutPrice(id, err)
	}
	status, late := a.serve(x, 200, change{"delete", "price", id, version})
	return status, done{version, "deleted", late}, nil
}
