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
	next    atomic.Int64 // unix nanoseconds of the next look at the files

	mu   sync.Mutex // guards seen; held by the one that reloads
	seen [2]os.FileInfo
}

// LoadCertificate reads the pair. report is called after each change of the
// files, with nil if the new pair is in force; it may be nil.
func LoadCertificate(certFile, keyFile string, report func(error)) (*Certificate, error) {
	if report == nil {
		report = func(error) {}
	}
	c := &Certificate{certFile: certFile, keyFile: keyFile, report: report}
	seen, err := c.look()
	if err != nil {
		return nil, err
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	c.seen = seen
	c.next.Store(time.Now().Add(checkEvery).UnixNano())
	return c, nil
}

// Get is the tls.Config's GetCertificate.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.refresh(time.Now())
	return c.current.Load(), nil
}

// NotAfter is when the certificate in force expires.
func (c *Certificate) NotAfter() time.Time {
	return c.current.Load().Leaf.NotAfter
}

// refresh reads the files again if they changed since the last look. Others
// that come meanwhile go on with the old pair.
func (c *Certificate) refresh(now time.Time) {
	if now.UnixNano() < c.next.Load() || !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	c.next.Store(now.Add(checkEvery).UnixNano())
	seen, err := c.look()
	if err == nil && same(seen, c.seen) {
		return
	}
	// Remembered in any case: a bad pair is reported once, not every second.
	if err != nil && c.seen == seen {
		return
	}
	c.seen = seen
	if err == nil {
		err = c.load()
	}
	c.report(err)
}

// look returns the state of the files. On an error it is empty.
func (c *Certificate) look() (seen [2]os.FileInfo, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if seen[i], err = os.Stat(name); err != nil {
			return [2]os.FileInfo{}, err
		}
	}
	return seen, nil
}

func same(a, b [2]os.FileInfo) bool {
	for i := range a {
		if a[i] == nil || b[i] == nil || !os.SameFile(a[i], b[i]) ||
			a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()) {
			return false
		}
	}
	return true
}

func (c *Certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.current.Store(&pair)
	return nil
}
