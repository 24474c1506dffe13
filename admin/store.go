package admin

import (
	"context"
	"time"

	"llmproxy/config"
)

// Store is what the API needs of the configuration's store. Each int64 that
// comes with data is the version that holds it.
type Store interface {
	Version(ctx context.Context) (int64, time.Time, error)

	Providers(ctx context.Context) ([]config.Provider, int64, error)
	Provider(ctx context.Context, id int64) (config.Provider, int64, error)
	AddProvider(ctx context.Context, p *config.Provider) (int64, error)
	ChangeProvider(ctx context.Context, id int64, change func(*config.Provider) error) (int64, error)
	RemoveProvider(ctx context.Context, id int64) (int64, error)

	Credentials(ctx context.Context) ([]config.Credential, int64, error)
	Credential(ctx context.Context, id int64) (config.Credential, int64, error)
	AddCredential(ctx context.Context, c *config.Credential) (int64, error)
	ChangeCredential(ctx context.Context, id int64, change func(*config.Credential) error) (int64, error)
	RemoveCredential(ctx context.Context, id int64) (int64, error)

	Prices(ctx context.Context) ([]config.Price, int64, error)
	Price(ctx context.Context, id int64) (config.Price, int64, error)
	AddPrice(ctx context.Context, p *config.Price) (int64, error)
	PutPrices(ctx context.Context, prices []config.Price) (int64, error)
	ChangePrice(ctx context.Context, id int64, change func(*config.Price) error) (int64, error)
	RemovePrice(ctx context.Context, id int64) (int64, error)
}
