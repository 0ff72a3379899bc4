package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// openLog opens the log that the flags ask for, or stderr, unless it is open.
// On error the log goes to stderr.
func (a *app) openLog() error {
	if a.log != nil {
		return nil
	}
	h := &lineHandler{w: a.stderr, line: textLine, level: slog.LevelInfo}
	switch {
	case a.global.logFormat == "json":
		h.line = jsonLine
	case a.global.logFile == "" && isTerminal(a.stderr):
		h.line = plainLine
	}
	if a.global.debug {
		h.level = slog.LevelDebug
	}
	a.log = slog.New(h)
	if a.global.logFile == "" {
		return nil
	}
	f, err := os.OpenFile(a.global.logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		a.global.logFile = ""
		return fmt.Errorf("--log: %w", err)
	}
	h.w = f
	return nil
}

// lineHandler writes each record as one line with one write(2), so that lines
// of processes that append to the same file don't mix. Whatever is in a record,
// it stays within its line: an id or a container's file name can't pass for
// another line, nor command the terminal that shows it.
type lineHandler struct {
	w     io.Writer
	level slog.Level
	line  func(b []byte, t time.Time, level, msg string, attrs []slog.Attr) []byte
	attrs []slog.Attr // keys with their groups before them
	group string      // prefix of keys to come
}

func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	attrs := h.attrs[:len(h.attrs):len(h.attrs)]
	r.Attrs(func(a slog.Attr) bool {
		attrs = flatten(attrs, h.group, a)
		return true
	})
	b := h.line(make([]byte, 0, 256), r.Time, levelName(r.Level), r.Message, attrs)
	_, err := h.w.Write(append(b, '\n'))
	return err
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = c.attrs[:len(c.attrs):len(c.attrs)]
	for _, a := range attrs {
		c.attrs = flatten(c.attrs, h.group, a)
	}
	return &c
}

func (h *lineHandler) WithGroup(group string) slog.Handler {
	if group == "" {
		return h
	}
	c := *h
	c.group += group + "."
	return &c
}

// flatten appends an attribute, those of a group one by one.
func flatten(attrs []slog.Attr, prefix string, a slog.Attr) []slog.Attr {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup {
		if a.Key == "" {
			return attrs
		}
		return append(attrs, slog.Attr{Key: prefix + a.Key, Value: v})
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, m := range v.Group() {
		attrs = flatten(attrs, prefix, m)
	}
	return attrs
}

// levelName gives the names that readers of runc's log expect; containerd looks for "error".
func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warning"
	case l >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}

func textLine(b []byte, t time.Time, level, msg string, attrs []slog.Attr) []byte {
	b = append(b, `time="`...)
	b = t.AppendFormat(b, time.RFC3339)
	b = append(b, `" level=`...)
	b = append(b, level...)
	b = append(b, " msg="...)
	b = strconv.AppendQuote(b, msg)
	for _, a := range attrs {
		b = append(b, ' ')
		b = appendVisible(b, a.Key)
		b = append(b, '=')
		b = strconv.AppendQuote(b, a.Value.String())
	}
	return b
}

func jsonLine(b []byte, t time.Time, level, msg string, attrs []slog.Attr) []byte {
	b = append(b, `{"level":"`...)
	b = append(b, level...)
	b = append(b, `","msg":`...)
	b = appendJSON(b, msg)
	b = append(b, `,"time":"`...)
	b = t.AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	for _, a := range attrs {
		b = append(b, ',')
		b = appendJSON(b, a.Key)
		b = append(b, ':')
		b = appendJSON(b, a.Value.String())
	}
	return append(b, '}')
}

// plainLine is for a person at a terminal.
func plainLine(b []byte, _ time.Time, level, msg string, attrs []slog.Attr) []byte {
	b = append(b, name+": "...)
	if level != "error" {
		b = append(b, level+": "...)
	}
	b = appendVisible(b, msg)
	for _, a := range attrs {
		b = append(b, ' ')
		b = appendVisible(b, a.Key)
		b = append(b, '=')
		b = appendVisible(b, a.Value.String())
	}
	return b
}

// appendVisible appends s with whatever isn't printable as a Go escape: line
// ends, other controls, bytes that are not UTF-8, marks that reorder text.
func appendVisible(b []byte, s string) []byte {
	for i, width := 0, 0; i < len(s); i += width {
		var r rune
		r, width = utf8.DecodeRuneInString(s[i:])
		if unicode.IsPrint(r) && (r != utf8.RuneError || width > 1) {
			b = append(b, s[i:i+width]...)
			continue
		}
		quoted := strconv.AppendQuote(nil, s[i:i+width])
		b = append(b, quoted[1:len(quoted)-1]...)
	}
	return b
}

// appendJSON appends s as a JSON string of printable characters.
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r > 0xFFFF: // a surrogate pair, RFC 8259 section 7
			r -= 0x10000
			b = fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return append(b, '"')
}
