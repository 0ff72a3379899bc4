// Gen writes davit's manual pages and shell completions into the two directories that are its arguments.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"davit/cli"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: gen MANUAL-DIR COMPLETIONS-DIR")
		os.Exit(2)
	}
	manual, completions := cli.Documents()
	for dir, files := range map[string]map[string]string{os.Args[1]: manual, os.Args[2]: completions} {
		for file, text := range files {
			if err := write(filepath.Join(dir, file), text); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}
}

func write(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}
