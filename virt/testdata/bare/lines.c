// build: -g -fno-inline -ffile-compilation-dir=. -Wl,--no-entry,-z,stack-size=8192

// A guest with line tables: the test names the lines of this file.

static volatile int zero, sum;

__attribute__((noinline)) static int divide(int a) {
	return a / zero;
}

__attribute__((noinline)) static void loop(int n) {
	for (int i = 0; i < n; i++)
		sum += i;
	sum += divide(n);
}

__attribute__((export_name("trap"))) void trap(int n) {
	sum = 0;
	loop(n);
	sum++;
}

__attribute__((export_name("load"))) int load(unsigned at) {
	for (int i = 0; i < 10; i++)
		sum += *(volatile int *)(at * i);
	return sum;
}
