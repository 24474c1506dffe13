package store

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"llmproxy/config"
)

// providerRow is a row of providers: what the tables and the snapshot hold,
// before it is known to be readable.
type providerRow struct {
	ID           int64           `json:"id"`
	Key          string          `json:"provider_key"`
	Type         string          `json:"provider_type"`
	APIBase      string          `json:"api_base"`
	APIKey       string          `json:"api_key"` // sealed or not, as it is stored
	ModelMapping json.RawMessage `json:"model_mapping"`
	Params       json.RawMessage `json:"provider_params"`
	Weight       int             `json:"weight"`
	Priority     int             `json:"priority"`
	Enabled      bool            `json:"is_enabled"`
	CreatedAt    moment          `json:"created_at"`
	UpdatedAt    moment          `json:"updated_at"`
}

// dest is where the columns of selectProviders go.
func (r *providerRow) dest() []any {
	return []any{
		&r.ID, &r.Key, &r.Type, &r.APIBase, &r.APIKey, (*[]byte)(&r.ModelMapping), (*[]byte)(&r.Params),
		&r.Weight, &r.Priority, &r.Enabled, &r.CreatedAt, &r.UpdatedAt,
	}
}

// values are what insertProvider and updateProvider take.
func (r *providerRow) values() []any {
	return []any{r.Key, r.Type, r.APIBase, r.APIKey, string(r.ModelMapping), string(r.Params), r.Weight, r.Priority, r.Enabled}
}

// provider reads the row. The error names the row and never quotes what is in
// it. It is errSealed if all but the key could be read.
func (r *providerRow) provider(sealer *Sealer) (config.Provider, error) {
	p := config.Provider{
		ID: r.ID, Key: r.Key, Type: r.Type, APIBase: r.APIBase,
		Weight: r.Weight, Priority: r.Priority, Enabled: r.Enabled,
		CreatedAt: r.CreatedAt.Time, UpdatedAt: r.UpdatedAt.Time,
	}
	var err error
	if p.ModelMapping, err = parseMapping(r.ModelMapping); err != nil {
		return p, r.fault("model_mapping", err)
	}
	if p.Params, err = parseParams(r.Params); err != nil {
		return p, r.fault("", err)
	}
	key, err := sealer.Open(r.APIKey)
	if err != nil {
		return p, r.fault("api_key", err)
	}
	p.APIKey = config.Secret(key)
	return p, nil
}

func (r *providerRow) fault(field string, err error) error {
	return rowFault(fmt.Sprintf("provider %q (id %d)", r.Key, r.ID), field, err)
}

// newProviderRow is the way back.
func newProviderRow(p *config.Provider, sealer *Sealer) (providerRow, error) {
	key, err := sealer.Seal(p.APIKey.Reveal())
	if err != nil {
		return providerRow{}, fmt.Errorf("api_key: %w", err)
	}
	mapping := p.ModelMapping
	if mapping == nil {
		mapping = map[string]string{}
	}
	return providerRow{
		ID: p.ID, Key: p.Key, Type: p.Type, APIBase: p.APIBase, APIKey: key,
		ModelMapping: encode(mapping), Params: p.Params.JSON(),
		Weight: p.Weight, Priority: p.Priority, Enabled: p.Enabled,
		CreatedAt: moment{p.CreatedAt}, UpdatedAt: moment{p.UpdatedAt},
	}, nil
}

// credentialRow is a row of credentials.
type credentialRow struct {
	ID             int64           `json:"id"`
	Hash           string          `json:"credential_key"`
	Preview        string          `json:"key_preview"`
	Name           string          `json:"name"`
	AllowedModels  json.RawMessage `json:"allowed_models"`
	RateLimit      *int64          `json:"rate_limit"`
	TPMLimit       *int64          `json:"tpm_limit"`
	Budget         *int64          `json:"budget_microusd"`
	BudgetPeriod   string          `json:"budget_period"`
	MaxConcurrency *int64          `json:"max_concurrency"`
	ExpiresAt      moment          `json:"expires_at"` // zero: NULL
	Enabled        bool            `json:"is_enabled"`
	CreatedAt      moment          `json:"created_at"`
	UpdatedAt      moment          `json:"updated_at"`
}

// dest is where the columns of selectCredentials go.
func (r *credentialRow) dest() []any {
	return []any{
		&r.ID, &r.Hash, &r.Preview, &r.Name, (*[]byte)(&r.AllowedModels), &r.RateLimit,
		&r.TPMLimit, &r.Budget, &r.BudgetPeriod, &r.MaxConcurrency, &r.ExpiresAt, &r.Enabled, &r.CreatedAt, &r.UpdatedAt,
	}
}

// values are what insertCredential and updateCredential take.
func (r *credentialRow) values() []any {
	return []any{
		r.Hash, r.Preview, r.Name, string(r.AllowedModels), r.RateLimit,
		r.TPMLimit, r.Budget, r.BudgetPeriod, r.MaxConcurrency, r.ExpiresAt, r.Enabled,
	}
}

// credential reads the row. The error names the row by its name and id.
func (r *credentialRow) credential() (config.Credential, error) {
	c := config.Credential{
		ID: r.ID, Hash: r.Hash, Preview: r.Preview, Name: r.Name, RateLimit: r.RateLimit, Enabled: r.Enabled,
		TPMLimit: r.TPMLimit, Budget: (*config.USD)(r.Budget), BudgetPeriod: config.Period(r.BudgetPeriod),
		MaxConcurrency: r.MaxConcurrency, ExpiresAt: r.ExpiresAt.Time,
		CreatedAt: r.CreatedAt.Time, UpdatedAt: r.UpdatedAt.Time,
	}
	var err error
	if c.AllowedModels, err = parseNames(r.AllowedModels); err != nil {
		return c, rowFault(fmt.Sprintf("credential %q (id %d)", r.Name, r.ID), "allowed_models", err)
	}
	return c, nil
}

// newCredentialRow is the way back.
func newCredentialRow(c *config.Credential) credentialRow {
	allowed := c.AllowedModels
	if allowed == nil {
		allowed = []string{}
	}
	period := c.BudgetPeriod
	if period == "" {
		period = config.PeriodMonth
	}
	return credentialRow{
		ID: c.ID, Hash: c.Hash, Preview: c.Preview, Name: c.Name, AllowedModels: encode(allowed),
		RateLimit: c.RateLimit, Enabled: c.Enabled,
		TPMLimit: c.TPMLimit, Budget: (*int64)(c.Budget), BudgetPeriod: string(period),
		MaxConcurrency: c.MaxConcurrency, ExpiresAt: moment{c.ExpiresAt},
		CreatedAt: moment{c.CreatedAt}, UpdatedAt: moment{c.UpdatedAt},
	}
}

func rowFault(row, field string, err error) error {
	if field == "" {
		return fmt.Errorf("%s: %w", row, err)
	}
	return fmt.Errorf("%s: %s: %w", row, field, err)
}

// absent reports whether a JSON column holds nothing: NULL, or JSON's null.
func absent(raw []byte) bool {
	return len(raw) == 0 || string(bytes.TrimSpace(raw)) == "null"
}

// parseMapping reads a model_mapping: an object of strings.
func parseMapping(raw []byte) (map[string]string, error) {
	mapping := map[string]string{}
	if absent(raw) {
		return mapping, nil
	}
	members, twice, err := config.Members(raw)
	if err != nil {
		return nil, err
	}
	if len(twice) > 0 {
		return nil, fmt.Errorf("%q is given twice", twice[0])
	}
	for _, m := range members {
		if kind := config.KindOf(m.Value); kind != "a string" {
			return nil, fmt.Errorf("%q must be a string, not %s", m.Name, kind)
		}
		var to string
		if err := json.Unmarshal(m.Value, &to); err != nil {
			return nil, err
		}
		mapping[m.Name] = to
	}
	return mapping, nil
}

// parseParams reads provider_params. Its problems name the field themselves.
func parseParams(raw []byte) (config.Params, error) {
	if absent(raw) {
		return config.Params{}, nil
	}
	params, problems := config.ParseParams(raw)
	return params, problems.Err()
}

// parseNames reads allowed_models: a list of strings.
func parseNames(raw []byte) ([]string, error) {
	names := []string{}
	if absent(raw) {
		return names, nil
	}
	var values []json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil {
		return nil, errors.New("must be a list of strings")
	}
	for i, value := range values {
		if kind := config.KindOf(value); kind != "a string" {
			return nil, fmt.Errorf("entry %d must be a string, not %s", i+1, kind)
		}
		var name string
		if err := json.Unmarshal(value, &name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// encode writes what always can be written: strings, and maps and lists of them.
func encode(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return raw
}

// moment is a time as either database gives it: PostgreSQL a time, SQLite
// text. The zero time is NULL.
type moment struct{ time.Time }

// Value implements driver.Valuer, in a form that both databases read.
func (m moment) Value() (driver.Value, error) {
	if m.IsZero() {
		return nil, nil
	}
	return m.UTC().Format("2006-01-02T15:04:05.000Z"), nil
}

// Scan implements sql.Scanner.
func (m *moment) Scan(from any) error {
	switch at := from.(type) {
	case nil:
		m.Time = time.Time{}
		return nil
	case time.Time:
		m.Time = at.UTC()
		return nil
	case string:
		return m.parse(at)
	}
	return fmt.Errorf("a time was wanted, not %T", from)
}

// parse reads the form our triggers write, and that of SQLite's datetime().
func (m *moment) parse(text string) error {
	for _, form := range []string{time.RFC3339Nano, time.DateTime} {
		if at, err := time.Parse(form, text); err == nil {
			m.Time = at.UTC()
			return nil
		}
	}
	return errors.New("a time must be written like 2006-01-02T15:04:05Z")
}
