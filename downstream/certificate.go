package downstream

import (
	"crypto/tls"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// checkEvery bounds how often the files of a Certificate are looked at.
const checkEvery = time.Second

// Certificate is a TLS certificate and its key in two files, read again when
// they change. A changed pair that cannot be used leaves the old one in force.
type Certificate struct {
	certFile, keyFile string
	report            func(error)

	current atomic.Pointer[tls.Certificate]
	born    time.Time
	next    atomic.Int64 // when to look at the files again, in nanoseconds since born

	mu   sync.Mutex // held by the one that looks; guards seen
	seen stamps
}

// stamps tell a changed file, of the certificate's and of the key's. They are
// zero when one of them is missing.
type stamps [2]struct {
	size     int64
	modified int64
}

// LoadCertificate reads the pair. report is called after each change of the
// files, with nil if the new pair is in force; it may be nil.
func LoadCertificate(certFile, keyFile string, report func(error)) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, report: report, born: time.Now()}
	seen, err := c.look()
	if err != nil {
		return nil, err
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	c.seen = seen
	c.next.Store(int64(checkEvery))
	return c, nil
}

// Get returns the pair in force: a tls.Config's GetCertificate.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.refresh(time.Since(c.born))
	return c.current.Load(), nil
}

// NotAfter is when the certificate in force expires.
func (c *Certificate) NotAfter() time.Time {
	return c.current.Load().Leaf.NotAfter
}

// refresh reads the files again if they changed since the last look. Whoever
// comes meanwhile goes on with the old pair.
func (c *Certificate) refresh(age time.Duration) {
	if int64(age) < c.next.Load() || !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	c.next.Store(int64(age + checkEvery))
	seen, err := c.look() // before reading: a change in between is seen next time
	if seen == c.seen {
		return
	}
	c.seen = seen // in any case, so that a bad pair is reported once
	if err == nil {
		err = c.load()
	}
	if c.report != nil {
		c.report(err)
	}
}

func (c *Certificate) look() (seen stamps, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamps{}, err
		}
		seen[i].size, seen[i].modified = info.Size(), info.ModTime().UnixNano()
	}
	return seen, nil
}

func (c *Certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.current.Store(&pair)
	return nil
}
