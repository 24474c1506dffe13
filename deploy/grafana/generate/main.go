// Command generate writes Grafana's dashboards of the gateway as JSON.
//
//	go -C deploy/grafana/generate run .          # into ../dashboards
//	go -C deploy/grafana/generate run . -check   # say which of them is not as this would write it
//
// A dashboard is a file of panels here (overview.go, providers.go, gateway.go);
// what all panels have in common is in panel.go, what all dashboards have in
// board.go. The JSON is in the tree, so that who runs the gateway needs
// nothing of this.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// folder is where Grafana finds them, from the folder of this command.
const folder = "../dashboards"

// boards are the dashboards by the names of their files.
var boards = []struct {
	file string
	make func() *dashboard.DashboardBuilder
}{
	{"overview.json", overview},
	{"providers.json", providers},
	{"gateway.json", gateway},
}

func main() {
	check := flag.Bool("check", false, "write nothing; list the files that are not as they would be written")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(check bool) error {
	for _, b := range boards {
		text, err := render(b.make())
		if err != nil {
			return fmt.Errorf("%s: %w", b.file, err)
		}
		name := filepath.Join(folder, b.file)
		if check {
			if old, err := os.ReadFile(name); err != nil || !bytes.Equal(old, text) {
				return fmt.Errorf("%s is not as generate writes it: go -C deploy/grafana/generate run .", b.file)
			}
			continue
		}
		if err := os.WriteFile(name, text, 0o644); err != nil { //nolint:gosec // Grafana's account reads it
			return err
		}
	}
	return nil
}

// schema is the version of the model since Grafana 12. A Grafana brings older
// dashboards up to its own; what is newer than itself it need not understand.
const schema = 41

// render numbers the panels and prints the dashboard.
func render(b *dashboard.DashboardBuilder) ([]byte, error) {
	d, err := b.Build()
	if err != nil {
		return nil, err
	}
	d.SchemaVersion = schema
	inSight(&d)
	for i := range d.Panels {
		id := uint32(i + 1)
		if p := d.Panels[i].Panel; p != nil {
			p.Id = &id
		} else {
			d.Panels[i].RowPanel.Id = id
		}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err = e.Encode(d)
	return text.Bytes(), err
}

// inSight leaves links and annotations where everyone sees them: by default
// the builder puts them into a menu that newer versions of Grafana have.
func inSight(d *dashboard.Dashboard) {
	for i := range d.Links {
		d.Links[i].Placement = nil
	}
	for i := range d.Annotations.List {
		d.Annotations.List[i].Placement = nil
	}
}
