/*
 * peak FILE PROGRAM [ARG...]: runs PROGRAM and writes the peak of its resident
 * memory, and that of its children, in KiB to FILE.
 *
 * A program of its own, and a small one: what a process had resident before
 * its exec counts as its own (getrusage(2), ru_maxrss), so a large parent
 * would hide what is to be seen.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rusage usage;
	int status;
	pid_t pid;
	FILE *out;

	if (argc < 3)
		return fprintf(stderr, "usage: peak FILE PROGRAM [ARG...]\n"), 2;
	pid = fork();
	if (pid == 0) {
		execv(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) < 0)
		return perror("peak"), 1;
	out = fopen(argv[1], "w");
	if (!out || fprintf(out, "%ld\n", usage.ru_maxrss) < 0 || fclose(out))
		return perror(argv[1]), 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
