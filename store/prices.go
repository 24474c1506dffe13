package store

import (
	"context"

	"llmproxy/config"
)

const (
	selectPrices = `SELECT id, model, provider, input_microusd, output_microusd, cached_input_microusd,
		reasoning_microusd, source, as_of, created_at, updated_at FROM prices`
	insertPrice = `INSERT INTO prices (model, provider, input_microusd, output_microusd, cached_input_microusd,
		reasoning_microusd, source, as_of) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		RETURNING id, created_at, updated_at`
	putPrice = `INSERT INTO prices (model, provider, input_microusd, output_microusd, cached_input_microusd,
		reasoning_microusd, source, as_of) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (provider, model) DO UPDATE SET input_microusd = $3, output_microusd = $4,
		cached_input_microusd = $5, reasoning_microusd = $6, source = $7, as_of = $8`
	updatePrice = `UPDATE prices SET model = $1, provider = $2, input_microusd = $3, output_microusd = $4,
		cached_input_microusd = $5, reasoning_microusd = $6, source = $7, as_of = $8 WHERE id = $9`
	deletePrice = `DELETE FROM prices WHERE id = $1`
)

// readPrices returns all prices.
func readPrices(x tx) ([]config.Price, error) {
	found, err := readAll[priceRow](x, selectPrices+" ORDER BY id")
	if err != nil {
		return nil, err
	}
	all := make([]config.Price, 0, len(found))
	for i := range found {
		all = append(all, found[i].price())
	}
	return all, nil
}

// Prices implements Store.
func (t *tables) Prices(ctx context.Context) (all []config.Price, version int64, err error) {
	err = t.db.view(ctx, asking, func(x tx) (err error) {
		if version, _, err = readVersion(x); err != nil {
			return err
		}
		all, err = readPrices(x)
		return err
	})
	return all, version, err
}

// Price implements Store.
func (t *tables) Price(ctx context.Context, id int64) (p config.Price, version int64, err error) {
	err = t.db.view(ctx, asking, func(x tx) (err error) {
		if version, _, err = readVersion(x); err != nil {
			return err
		}
		p, err = readPrice(x, id, "")
		return err
	})
	return p, version, err
}

// readPrice returns one price, its row locked if lock says so.
func readPrice(x tx, id int64, lock string) (config.Price, error) {
	var row priceRow
	if err := readOne(x, row.dest(), selectPrices+" WHERE id = $1"+lock, id); err != nil {
		return config.Price{}, noSuch("price", id, err)
	}
	return row.price(), nil
}

// AddPrice implements Store.
func (t *tables) AddPrice(ctx context.Context, p *config.Price) (int64, error) {
	row := newPriceRow(p)
	version, err := t.change(ctx, func(x tx) error {
		return readOne(x, []any{&row.ID, &row.CreatedAt, &row.UpdatedAt}, insertPrice, row.values()...)
	})
	if err != nil {
		return 0, taken("the price of "+p.Model, err)
	}
	p.ID, p.CreatedAt, p.UpdatedAt = row.ID, row.CreatedAt.Time, row.UpdatedAt.Time
	return version, nil
}

// PutPrices implements Store.
func (t *tables) PutPrices(ctx context.Context, prices []config.Price) (int64, error) {
	return t.change(ctx, func(x tx) error {
		for i := range prices {
			row := newPriceRow(&prices[i])
			if _, err := x.exec(putPrice, row.values()...); err != nil {
				return err
			}
		}
		return nil
	})
}

// ChangePrice implements Store.
func (t *tables) ChangePrice(ctx context.Context, id int64, change func(*config.Price) error) (int64, error) {
	return t.change(ctx, func(x tx) error {
		p, err := readPrice(x, id, forUpdate)
		if err != nil {
			return err
		}
		if err := change(&p); err != nil {
			return err
		}
		row := newPriceRow(&p)
		return taken("the price of "+p.Model, execOne(x, updatePrice, append(row.values(), id)...))
	})
}

// RemovePrice implements Store.
func (t *tables) RemovePrice(ctx context.Context, id int64) (int64, error) {
	return t.change(ctx, func(x tx) error {
		return noSuch("price", id, execOne(x, deletePrice, id))
	})
}

// priceRow is a row of prices. Amounts are in millionths of a dollar.
type priceRow struct {
	ID          int64  `json:"id"`
	Model       string `json:"model"`
	Provider    string `json:"provider"`
	Input       int64  `json:"input_microusd"`
	Output      int64  `json:"output_microusd"`
	CachedInput *int64 `json:"cached_input_microusd"`
	Reasoning   *int64 `json:"reasoning_microusd"`
	Source      string `json:"source"`
	AsOf        string `json:"as_of"`
	CreatedAt   moment `json:"created_at"`
	UpdatedAt   moment `json:"updated_at"`
}

// dest is where the columns of selectPrices go.
func (r *priceRow) dest() []any {
	return []any{
		&r.ID, &r.Model, &r.Provider, &r.Input, &r.Output, &r.CachedInput, &r.Reasoning,
		&r.Source, &r.AsOf, &r.CreatedAt, &r.UpdatedAt,
	}
}

// values are what insertPrice and updatePrice take.
func (r *priceRow) values() []any {
	return []any{r.Model, r.Provider, r.Input, r.Output, r.CachedInput, r.Reasoning, r.Source, r.AsOf}
}

func (r *priceRow) price() config.Price {
	return config.Price{
		ID: r.ID, Model: r.Model, Provider: r.Provider, Input: config.USD(r.Input), Output: config.USD(r.Output),
		CachedInput: (*config.USD)(r.CachedInput), Reasoning: (*config.USD)(r.Reasoning),
		Source: r.Source, AsOf: r.AsOf, CreatedAt: r.CreatedAt.Time, UpdatedAt: r.UpdatedAt.Time,
	}
}

// newPriceRow is the way back.
func newPriceRow(p *config.Price) priceRow {
	return priceRow{
		ID: p.ID, Model: p.Model, Provider: p.Provider, Input: int64(p.Input), Output: int64(p.Output),
		CachedInput: (*int64)(p.CachedInput), Reasoning: (*int64)(p.Reasoning),
		Source: p.Source, AsOf: p.AsOf, CreatedAt: moment{p.CreatedAt}, UpdatedAt: moment{p.UpdatedAt},
	}
}
