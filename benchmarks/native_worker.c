/* The worker of the comparison without a Python start: makes its directory, writes a pid file, says READY=1, waits for TERM.
 * native_worker NAME DIRECTORY BEACON; compiled by gcc when the benchmark begins. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int tell(int fd, const char *path, const char *text)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof to.sun_path)
        return -1;
    strcpy(to.sun_path, path);
    return sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof to) < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    char text[512], path[4096];
    if (argc != 4)
        return 2;
    mkdir(argv[2], 0755);
    snprintf(path, sizeof path, "%s/pid", argv[2]);
    FILE *pid_file = fopen(path, "w");
    if (pid_file == NULL || fprintf(pid_file, "%d", getpid()) < 0 || fclose(pid_file) != 0)
        return 1;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const char *notify = getenv("NOTIFY_SOCKET");
    if (notify != NULL && *notify != '\0')
        tell(fd, notify, "READY=1\n");
    snprintf(text, sizeof text, "READY=1\n%.200s\n%d", argv[1], getpid());
    if (tell(fd, argv[3], text) != 0)
        return 1;
    close(fd);
    for (;;)
        pause(); /* TERM ends it, as it ends any program that does not say otherwise */
}
