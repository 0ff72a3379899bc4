//go:build seccomp && cgo

package seccomp

// davit is linked with musl, because a static glibc spends a third of a
// millisecond on itself at every start. Distributions build libseccomp for
// glibc; of what that adds, one function is missing in musl.

/*
#include <stdarg.h>
#include <stdio.h>

// The checked fprintf of glibc's _FORTIFY_SOURCE; weak, so that glibc's own wins where it is linked.
__attribute__((weak)) int __fprintf_chk(FILE *stream, int flag, const char *format, ...)
{
	va_list args;
	int n;

	(void)flag;
	va_start(args, format);
	n = vfprintf(stream, format, args);
	va_end(args);
	return n;
}
*/
import "C"
