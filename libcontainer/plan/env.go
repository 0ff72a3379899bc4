package plan

import "strings"

// environment is process.env as the process gets it: of a name given twice the
// last value only, because getenv(3) would find the first; and with a HOME, the
// config's or that of the user's entry in the container's /etc/passwd.
func environment(env []string, home string) []string {
	if home == "" {
		home = "/"
	}
	kept := make([]string, 0, len(env)+1)
	seen := make(map[string]struct{}, len(env))
	// From the end, where the values that count are. The order of the others stays.
	for i := len(env) - 1; i >= 0; i-- {
		name, value, _ := strings.Cut(env[i], "=")
		if _, ok := seen[name]; ok {
			continue
		}
		seen[name] = struct{}{}
		if name == "HOME" && value == "" {
			continue
		}
		kept = append(kept, env[i])
	}
	for i, j := 0, len(kept)-1; i < j; i, j = i+1, j-1 {
		kept[i], kept[j] = kept[j], kept[i]
	}
	if !hasHome(env) {
		kept = append(kept, "HOME="+home)
	}
	return kept
}

// hasHome tells whether the config sets HOME; an empty one doesn't count.
func hasHome(env []string) bool {
	home, _ := lookupEnv(env, "HOME")
	return home != ""
}

func lookupEnv(env []string, name string) (string, bool) {
	for i := len(env) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(env[i], "="); ok && k == name {
			return v, true
		}
	}
	return "", false
}

// defaultPath is searched where the environment has no PATH, as execvp(3) does (confstr(3), _CS_PATH).
const defaultPath = "/bin:/usr/bin"

// searchPath lists the files that execvp(3) would try, with the container's own PATH.
func searchPath(name string, env []string) []string {
	if name == "" || strings.Contains(name, "/") {
		return []string{name}
	}
	dirs, ok := lookupEnv(env, "PATH")
	if !ok {
		dirs = defaultPath
	}
	paths := make([]string, 0, 1+strings.Count(dirs, ":"))
	for dir := range strings.SplitSeq(dirs, ":") {
		if dir == "" {
			dir = "." // an empty element is the current directory, environ(7)
		}
		// Not cleaned: what ".." means is for the kernel to find out, there may be links.
		paths = append(paths, strings.TrimRight(dir, "/")+"/"+name)
	}
	return paths
}
