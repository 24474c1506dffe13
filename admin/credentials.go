package admin

import (
	"time"

	"llmproxy/config"
)

// credentialDraft is a credential with the key that it is made of, which is
// kept nowhere else.
type credentialDraft struct {
	config.Credential
	key string
}

// useKey takes over what is kept of the key.
func (c *credentialDraft) useKey(key string) {
	c.key, c.Hash, c.Preview = key, config.HashKey(key), config.Preview(key)
}

// credentialChanges is what may be changed of a credential.
var credentialChanges = []field[credentialDraft]{
	{"name", true, readString(func(c *credentialDraft) *string { return &c.Name })},
	{"allowed_models", false, func(c *credentialDraft, _ string, raw []byte) (problems config.Problems) {
		c.AllowedModels, problems = config.ParseModels(raw)
		return problems
	}},
	{"rate_limit", false, readLimit(func(c *credentialDraft) **int64 { return &c.RateLimit })},
	{"tpm_limit", false, readLimit(func(c *credentialDraft) **int64 { return &c.TPMLimit })},
	{"budget_usd", false, readOptionalUSD(func(c *credentialDraft) **config.USD { return &c.Budget })},
	{"budget_period", false, readPeriod},
	{"max_concurrency", false, readLimit(func(c *credentialDraft) **int64 { return &c.MaxConcurrency })},
	{"expires_at", false, readTime(func(c *credentialDraft) *time.Time { return &c.ExpiresAt })},
	{"is_enabled", false, readBool(func(c *credentialDraft) *bool { return &c.Enabled })},
}

// credentialFields is what a new credential may hold.
var credentialFields = append([]field[credentialDraft]{{"key", false, readKey}}, credentialChanges...)

// changedFields is what the body of a change may hold: the key is known there
// only to say where it is changed.
var changedFields = append([]field[credentialDraft]{{"key", false, refuseKey}}, credentialChanges...)

func readPeriod(c *credentialDraft, name string, raw []byte) config.Problems {
	var text string
	if problems := readString(func(*credentialDraft) *string { return &text })(c, name, raw); len(problems) > 0 {
		return problems
	}
	period, ok := config.ParsePeriod(text)
	if !ok {
		return config.Problems{{Field: name, Message: config.WantPeriod}}
	}
	c.BudgetPeriod = period
	return nil
}

func readKey(c *credentialDraft, name string, raw []byte) config.Problems {
	var key string
	if problems := readString(func(*credentialDraft) *string { return &key })(c, name, raw); len(problems) > 0 {
		return problems
	}
	if message := config.CheckKey(key); message != "" {
		return config.Problems{{Field: name, Message: message}}
	}
	c.useKey(key)
	return nil
}

func refuseKey(_ *credentialDraft, name string, _ []byte) config.Problems {
	return config.Problems{{Field: name, Message: "cannot be changed; POST to .../rotate makes a new one"}}
}

func newCredential() credentialDraft {
	return credentialDraft{Credential: config.Credential{
		AllowedModels: []string{}, BudgetPeriod: config.PeriodMonth, Enabled: true,
	}}
}

func checkCredentialFields(c *credentialDraft) config.Problems { return c.Validate() }

// credentialView is a credential as answers show it.
type credentialView struct {
	ID             int64         `json:"id"`
	Name           string        `json:"name"`
	KeyPreview     string        `json:"key_preview"`
	AllowedModels  []string      `json:"allowed_models"`
	RateLimit      *int64        `json:"rate_limit"`
	TPMLimit       *int64        `json:"tpm_limit"`
	Budget         *config.USD   `json:"budget_usd"`
	BudgetPeriod   config.Period `json:"budget_period"`
	MaxConcurrency *int64        `json:"max_concurrency"`
	ExpiresAt      *time.Time    `json:"expires_at"`
	Enabled        bool          `json:"is_enabled"`
	CreatedAt      time.Time     `json:"created_at"`
	UpdatedAt      time.Time     `json:"updated_at"`
}

func viewCredential(c *config.Credential) credentialView {
	models := c.AllowedModels
	if models == nil {
		models = []string{}
	}
	view := credentialView{
		ID: c.ID, Name: c.Name, KeyPreview: c.Preview, AllowedModels: models, RateLimit: c.RateLimit,
		TPMLimit: c.TPMLimit, Budget: c.Budget, BudgetPeriod: c.BudgetPeriod, MaxConcurrency: c.MaxConcurrency,
		Enabled: c.Enabled, CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC(),
	}
	if !c.ExpiresAt.IsZero() {
		view.ExpiresAt = new(c.ExpiresAt.UTC())
	}
	return view
}

type credentialList struct {
	Version     int64            `json:"version"`
	Credentials []credentialView `json:"credentials"`
}

// credentialAnswer holds the key itself only when the gateway has just made
// it: this is the one time that it is shown.
type credentialAnswer struct {
	Version    int64          `json:"version"`
	Credential credentialView `json:"credential"`
	Key        string         `json:"key,omitempty"`
	unserved
}

func aboutCredential(id int64, err error) error { return about("credential", "key", id, err) }

// listCredentials answers GET /admin/v1/credentials.
func (a *API) listCredentials(*call) (int, any, error) {
	ctx, cancel := a.storeContext()
	defer cancel()
	credentials, version, err := a.Store.Credentials(ctx)
	if err != nil {
		return 0, nil, err
	}
	list := credentialList{Version: version, Credentials: make([]credentialView, len(credentials))}
	for i := range credentials {
		list.Credentials[i] = viewCredential(&credentials[i])
	}
	return 200, list, nil
}

// getCredential answers GET /admin/v1/credentials/{id}.
func (a *API) getCredential(x *call) (int, any, error) {
	id, err := x.objectID("credential")
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := a.storeContext()
	defer cancel()
	c, version, err := a.Store.Credential(ctx, id)
	if err != nil {
		return 0, nil, aboutCredential(id, err)
	}
	return 200, credentialAnswer{Version: version, Credential: viewCredential(&c)}, nil
}

// createCredential answers POST /admin/v1/credentials.
func (a *API) createCredential(x *call) (int, any, error) {
	body, err := readBody(x.http, a.MaxBody)
	if err != nil {
		return 0, nil, err
	}
	c := newCredential()
	d := parse(body, credentialFields)
	d.require()
	if problems := d.judge(&c, checkCredentialFields); len(problems) > 0 {
		return 0, nil, problems
	}
	made := ""
	if c.key == "" {
		made = config.NewKey()
		c.useKey(made)
	}
	ctx, cancel := a.storeContext()
	defer cancel()
	version, err := a.Store.AddCredential(ctx, &c.Credential)
	if err != nil {
		return 0, nil, aboutCredential(0, err)
	}
	status, late := a.serve(x, 201, change{"create", "credential", c.ID, version})
	return status, credentialAnswer{version, viewCredential(&c.Credential), made, late}, nil
}

// changeCredential answers PUT and PATCH /admin/v1/credentials/{id}: what is
// given is changed, the rest stays.
func (a *API) changeCredential(x *call) (int, any, error) {
	id, err := x.objectID("credential")
	if err != nil {
		return 0, nil, err
	}
	body, err := readBody(x.http, a.MaxBody)
	if err != nil {
		return 0, nil, err
	}
	trial := newCredential()
	d := parse(body, changedFields)
	if problems := d.judge(&trial, checkCredentialFields); len(problems) > 0 {
		return 0, nil, problems
	}
	ctx, cancel := a.storeContext()
	defer cancel()
	version, err := a.Store.ChangeCredential(ctx, id, func(c *config.Credential) error {
		changed := credentialDraft{Credential: *c}
		d.fill(&changed)
		*c = changed.Credential
		return c.Validate().Err()
	})
	if err != nil {
		return 0, nil, aboutCredential(id, err)
	}
	status, late := a.serve(x, 200, change{"update", "credential", id, version})
	return status, done{version, "updated", late}, nil
}

// removeCredential answers DELETE /admin/v1/credentials/{id}.
func (a *API) removeCredential(x *call) (int, any, error) {
	id, err := x.objectID("credential")
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := a.storeContext()
	defer cancel()
	version, err := a.Store.RemoveCredential(ctx, id)
	if err != nil {
		return 0, nil, aboutCredential(id, err)
	}
	status, late := a.serve(x, 200, change{"delete", "credential", id, version})
	return status, done{version, "deleted", late}, nil
}
