package lab

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// longestReason is in bytes, and as much as a footnote should have.
const longestReason = 160

var (
	logLine     = regexp.MustCompile(`time="[^"]*" level=\w+ msg=("(?:[^"\\]|\\.)*")`) // of logrus
	hexadecimal = regexp.MustCompile(`\b([0-9a-f]{64}|[0-9a-f]{12})\b`)                // ids of containers and images
	ofCell      = regexp.MustCompile(`(/[^\s:"']*)?davit-engines-\d+-\d+`)
)

// What engines and runtimes put before and behind the words that tell why.
func prefaces() []string {
	return []string{" create failed: ", " run failed: ", " exec failed: ", "unable to start container process: ", "error during container init: ", "Error response from daemon: "}
}

func afterwords() []string {
	return []string{`\"`, ": OCI permission denied", ": OCI runtime", ": unknown", " Error: "}
}

// reason makes of a failure's text one line that is the same in the next run:
// the words that tell why, without times, ids and temporary names.
func reason(text string) string {
	text = said(text)
	text = logLine.ReplaceAllStringFunc(text, func(line string) string {
		message, err := strconv.Unquote(logLine.FindStringSubmatch(line)[1])
		if err != nil {
			return line
		}
		return message
	})
	text = strings.Join(strings.Fields(text), " ")
	for _, p := range prefaces() {
		if i := strings.LastIndex(text, p); i >= 0 {
			text = text[i+len(p):]
		}
	}
	for _, a := range afterwords() {
		if i := strings.Index(text, a); i > 0 {
			text = text[:i]
		}
	}
	text = hexadecimal.ReplaceAllString(text, "ID")
	text = ofCell.ReplaceAllString(text, "DIR")
	return shortened(strings.Trim(text, ". "))
}

// said is what a command wrote, if the text quotes one ([Output]): on stderr, or else on stdout.
func said(text string) string {
	rest, stderr, quoted := strings.Cut(text, "\nstderr: ")
	if !quoted {
		return text
	}
	if strings.TrimSpace(stderr) != "" {
		return stderr
	}
	if _, stdout, _ := strings.Cut(rest, "\nstdout: "); strings.TrimSpace(stdout) != "" {
		return stdout
	}
	return rest
}

// shortened cuts a text behind a word.
func shortened(text string) string {
	if len(text) <= longestReason {
		return text
	}
	text = text[:max(strings.LastIndexByte(text[:longestReason], ' '), 0)]
	return strings.TrimRightFunc(text, unicode.IsPunct) + " …"
}
