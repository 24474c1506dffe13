package admin

import (
	"time"

	"llmproxy/config"
)

// providerFields is what a body about a provider may hold.
var providerFields = []field[config.Provider]{
	{"provider_key", true, readString(func(p *config.Provider) *string { return &p.Key })},
	{"provider_type", false, readString(func(p *config.Provider) *string { return &p.Type })},
	{"api_base", true, readString(func(p *config.Provider) *string { return &p.APIBase })},
	{"api_key", true, readString(func(p *config.Provider) *string { return (*string)(&p.APIKey) })},
	{"model_mapping", false, func(p *config.Provider, _ string, raw []byte) (problems config.Problems) {
		p.ModelMapping, problems = config.ParseMapping(raw)
		return problems
	}},
	{"provider_params", false, func(p *config.Provider, _ string, raw []byte) (problems config.Problems) {
		p.Params, problems = config.ParseParams(raw)
		return problems
	}},
	{"weight", false, readInt(func(p *config.Provider) *int { return &p.Weight })},
	{"priority", false, readInt(func(p *config.Provider) *int { return &p.Priority })},
	{"is_enabled", false, readBool(func(p *config.Provider) *bool { return &p.Enabled })},
}

// newProvider is what a provider is where nothing is said.
func newProvider() config.Provider {
	return config.Provider{Type: "openai", ModelMapping: map[string]string{}, Weight: 1, Enabled: true}
}

// checkProviderFields brings a provider into the form that is kept, and checks it.
func checkProviderFields(p *config.Provider) config.Problems {
	p.Normalize()
	return p.Validate()
}

// providerView is a provider as answers show it: without its key.
type providerView struct {
	ID            int64             `json:"id"`
	Key           string            `json:"provider_key"`
	Type          string            `json:"provider_type"`
	APIBase       string            `json:"api_base"`
	APIKeyPreview string            `json:"api_key_preview"`
	ModelMapping  map[string]string `json:"model_mapping"`
	Params        config.Params     `json:"provider_params"`
	Weight        int               `json:"weight"`
	Priority      int               `json:"priority"`
	Enabled       bool              `json:"is_enabled"`
	CreatedAt     time.Time         `json:"created_at"`
	UpdatedAt     time.Time         `json:"updated_at"`
}

func viewProvider(p *config.Provider) providerView {
	mapping := p.ModelMapping
	if mapping == nil {
		mapping = map[string]string{}
	}
	return providerView{
		ID: p.ID, Key: p.Key, Type: p.Type, APIBase: p.APIBase, APIKeyPreview: config.Preview(p.APIKey.Reveal()),
		ModelMapping: mapping, Params: p.Params, Weight: p.Weight, Priority: p.Priority, Enabled: p.Enabled,
		CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(),
	}
}

type providerList struct {
	Version   int64          `json:"version"`
	Providers []providerView `json:"providers"`
}

type providerAnswer struct {
	Version  int64        `json:"version"`
	Provider providerView `json:"provider"`
	unserved
}

func aboutProvider(id int64, err error) error { return about("provider", "provider_key", id, err) }

// listProviders answers GET /admin/v1/providers.
func (a *API) listProviders(*call) (int, any, error) {
	ctx, cancel := a.storeContext()
	defer cancel()
	providers, version, err := a.Store.Providers(ctx)
	if err != nil {
		return 0, nil, err
	}
	list := providerList{Version: version, Providers: make([]providerView, len(providers))}
	for i := range providers {
		list.Providers[i] = viewProvider(&providers[i])
	}
	return 200, list, nil
}

// getProvider answers GET /admin/v1/providers/{id}.
func (a *API) getProvider(x *call) (int, any, error) {
	id, err := x.objectID("provider")
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := a.storeContext()
	defer cancel()
	p, version, err := a.Store.Provider(ctx, id)
	if err != nil {
		return 0, nil, aboutProvider(id, err)
	}
	return 200, providerAnswer{Version: version, Provider: viewProvider(&p)}, nil
}

// createProvider answers POST /admin/v1/providers.
func (a *API) createProvider(x *call) (int, any, error) {
	body, err := readBody(x.http, a.MaxBody)
	if err != nil {
		return 0, nil, err
	}
	p := newProvider()
	d := parse(body, providerFields)
	d.require()
	if problems := d.judge(&p, checkProviderFields); len(problems) > 0 {
		return 0, nil, problems
	}
	ctx, cancel := a.storeContext()
	defer cancel()
	version, err := a.Store.AddProvider(ctx, &p)
	if err != nil {
		return 0, nil, aboutProvider(0, err)
	}
	status, late := a.serve(x, 201, change{"create", "provider", p.ID, version})
	return status, providerAnswer{version, viewProvider(&p), late}, nil
}

// changeProvider answers PUT and PATCH /admin/v1/providers/{id}: what is given
// is changed, the rest stays.
func (a *API) changeProvider(x *call) (int, any, error) {
	id, err := x.objectID("provider")
	if err != nil {
		return 0, nil, err
	}
	body, err := readBody(x.http, a.MaxBody)
	if err != nil {
		return 0, nil, err
	}
	trial := newProvider()
	d := parse(body, providerFields)
	if problems := d.judge(&trial, checkProviderFields); len(problems) > 0 {
		return 0, nil, problems
	}
	ctx, cancel := a.storeContext()
	defer cancel()
	version, err := a.Store.ChangeProvider(ctx, id, func(p *config.Provider) error {
		d.fill(p)
		return checkProviderFields(p).Err()
	})
	if err != nil {
		return 0, nil, aboutProvider(id, err)
	}
	status, late := a.serve(x, 200, change{"update", "provider", id, version})
	return status, done{version, "updated", late}, nil
}

// removeProvider answers DELETE /admin/v1/providers/{id}.
func (a *API) removeProvider(x *call) (int, any, error) {
	id, err := x.objectID("provider")
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := a.storeContext()
	defer cancel()
	version, err := a.Store.RemoveProvider(ctx, id)
	if err != nil {
		return 0, nil, aboutProvider(id, err)
	}
	status, late := a.serve(x, 200, change{"delete", "provider", id, version})
	return status, done{version, "deleted", late}, nil
}
