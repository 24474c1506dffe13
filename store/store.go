// Package store keeps the declared configuration, the providers, the client
// keys and the prices: in PostgreSQL for a fleet of gateways, or in an embedded SQLite file
// for a single one. Both sit behind one Store and behave alike.
//
// It loads whole Sets, changes single rows, and tells when something changed,
// whoever changed it. Provider keys are sealed on their way in and unsealed on
// their way out. Whether a Set may be served is config's to say, and what is
// done with it route's: store checks only what a row must be to be read.
//
//	s, err := store.Open(store.Options{URL: url, Dir: dir, Sealer: sealer})
//	err = s.Migrate(ctx)
//	set, err := s.Load(ctx)
//	s.Watch(ctx, reload)
//
// Nothing here is on the path of a request. A Snapshot keeps the last good Set
// on disk: a start that finds the database away (Migrate is ErrUnavailable)
// serves from it, and migrates and loads when Watch calls.
package store

import (
	"context"
	"log/slog"
	"time"

	"llmproxy/config"
)

// Store is the configuration at rest. Its methods may be called from any
// goroutine at once.
//
// Errors answer to errors.Is with ErrNotFound, ErrDuplicate and
// ErrUnavailable; any other error says what is wrong with a row or a value.
// While the database does not answer, every method but Load returns
// ErrUnavailable in less than 2 seconds; Load is given longer, for nobody
// waits for it.
//
// A version counts the changes of the tables. Those that Add, Change and
// Remove return is the version that their own commit made.
type Store interface {
	// Kind returns "postgresql" or "sqlite".
	Kind() string

	// Migrate brings the tables to the newest version this binary knows. It
	// is cheap when they are there already, and safe when several gateways
	// start at once.
	Migrate(ctx context.Context) error

	// Load returns everything as it was at one version. A row that cannot be
	// read fails the whole Load with an error that names it.
	Load(ctx context.Context) (*config.Set, error)

	// Version returns the version and when it was reached.
	Version(ctx context.Context) (int64, time.Time, error)

	// Providers returns all providers in the order of their ids, and the
	// version at which they were so.
	Providers(ctx context.Context) ([]config.Provider, int64, error)
	// Provider returns one provider and the version at which it was so.
	Provider(ctx context.Context, id int64) (config.Provider, int64, error)
	// AddProvider stores a new provider and fills in its ID, CreatedAt and UpdatedAt.
	AddProvider(ctx context.Context, p *config.Provider) (int64, error)
	// ChangeProvider reads a provider, lets change alter it, and stores it, as
	// one transaction that nobody else comes between. An error from change is
	// returned as it is and nothing is stored. ID and times stay as they are.
	//
	// A key that cannot be unsealed is given to change as empty, and stays in
	// the store unless change sets another: so a lost SECRET_KEY can be mended.
	ChangeProvider(ctx context.Context, id int64, change func(*config.Provider) error) (int64, error)
	// RemoveProvider removes a provider.
	RemoveProvider(ctx context.Context, id int64) (int64, error)

	// Credentials returns all credentials in the order of their ids, and the
	// version at which they were so.
	Credentials(ctx context.Context) ([]config.Credential, int64, error)
	// Credential returns one credential and the version at which it was so.
	Credential(ctx context.Context, id int64) (config.Credential, int64, error)
	// AddCredential stores a new credential and fills in its ID, CreatedAt and UpdatedAt.
	AddCredential(ctx context.Context, c *config.Credential) (int64, error)
	// ChangeCredential is to credentials what ChangeProvider is to providers.
	ChangeCredential(ctx context.Context, id int64, change func(*config.Credential) error) (int64, error)
	// RemoveCredential removes a credential.
	RemoveCredential(ctx context.Context, id int64) (int64, error)

	// Prices returns all prices in the order of their ids, and the version at
	// which they were so; the other four are as those of providers.
	Prices(ctx context.Context) ([]config.Price, int64, error)
	Price(ctx context.Context, id int64) (config.Price, int64, error)
	AddPrice(ctx context.Context, p *config.Price) (int64, error)
	// PutPrices stores prices in place of those of the same provider and
	// model, all of them or none. Ids and times in them are not looked at.
	PutPrices(ctx context.Context, prices []config.Price) (int64, error)
	ChangePrice(ctx context.Context, id int64, change func(*config.Price) error) (int64, error)
	RemovePrice(ctx context.Context, id int64) (int64, error)

	// Watch calls changed whenever the configuration may have moved: once it
	// can hear of changes, after every gap in which it could not, after every
	// change, its own process's included, and a while after a Load that was
	// ErrUnavailable. It returns when ctx ends. The calls come one after the
	// other, from the goroutine that called Watch.
	Watch(ctx context.Context, changed func())

	// Close gives connections and files back. Watch must have returned.
	Close()
}

// Options say which store to open and how.
type Options struct {
	URL    string        // postgresql://…; empty: the SQLite file in Dir
	Dir    string        // where the SQLite file is; made if it is not there
	Sealer *Sealer       // seals provider keys; nil stores them in plain text
	Poll   time.Duration // how often Watch looks at the version, besides listening; 0: 2 s
	Log    *slog.Logger  // nil: no log
}

const (
	kindPostgreSQL = "postgresql"
	kindSQLite     = "sqlite"

	defaultPoll = 2 * time.Second
)

// Open opens the store that the options name. It never waits for a network:
// a URL that cannot be right is an error, a server that is away is not. A
// SQLite file that cannot be made, written or read is an error.
func Open(o Options) (Store, error) {
	if o.Poll <= 0 {
		o.Poll = defaultPoll
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.URL != "" {
		return openPostgres(o)
	}
	return openSQLite(o)
}

// patience is how long a transaction may take.
type patience struct {
	connect time.Duration // until there is a live connection
	whole   time.Duration // that included
}

var (
	// Somebody waits for the answer, and is owed an error soon.
	asking = patience{connect: 1500 * time.Millisecond, whole: 5 * time.Second}
	// Nobody waits, and a slow database is better than none.
	loading = patience{connect: 10 * time.Second, whole: 15 * time.Second}
)
