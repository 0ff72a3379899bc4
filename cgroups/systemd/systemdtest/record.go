package systemdtest

import (
	"encoding/json"
	"io"

	"davit/cgroups/systemd/dbus"
)

// Record is a line of JSON of what a unit was asked for.
type Record struct {
	Method     string
	Unit       string
	Properties map[string]any `json:",omitempty"`
	Error      string         `json:",omitempty"` // why it was refused
}

// Record writes a line to w for each call that changes a unit, from now on.
func (d *Double) Record(w io.Writer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.journal = w
}

func (d *Double) record(m *dbus.Message, err error) {
	if d.journal == nil || m.Member == "Get" || m.Member == "Ping" {
		return
	}
	r := Record{Method: m.Member, Unit: m.String(0)}
	if err != nil {
		r.Error = err.Error()
	}
	if len(m.Body) > 2 {
		if list, ok := m.Body[2].([]any); ok {
			r.Properties = properties(list)
		}
	}
	line, _ := json.Marshal(r) // what D-Bus has types for, JSON has
	_, _ = d.journal.Write(append(line, '\n'))
}

// properties are those of a list of names and values; nothing for one of something else.
func properties(list []any) map[string]any {
	found := make(map[string]any)
	for _, p := range list {
		if pair, ok := p.([]any); ok && len(pair) == 2 {
			if v, ok := pair[1].(dbus.Variant); ok {
				found[pair[0].(string)] = v.Value
			}
		}
	}
	return found
}
