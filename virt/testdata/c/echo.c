// A server as C programs are written: it accepts one connection on the descriptor that its argument names, and echoes
// it to the end. All its calls wait.
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char buf[100];
	ssize_t n;
	int conn = accept(atoi(argv[1]), NULL, NULL);
	if (conn < 0) {
		perror("accept");
		return 1;
	}
	while ((n = recv(conn, buf, sizeof buf, 0)) > 0)
		if (send(conn, buf, n, 0) != n) {
			perror("send");
			return 1;
		}
	if (n < 0) {
		perror("recv");
		return 1;
	}
	shutdown(conn, SHUT_RDWR);
	return close(conn);
}
