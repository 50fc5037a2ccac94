#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			std::_Exit(1); \
		} \
	} while (0)

static int handled;
static volatile std::size_t huge = PTRDIFF_MAX - 4096;

static void give_up_later()
{
	if (++handled == 3)
		std::set_new_handler(nullptr);
}

static void throw_at_once()
{
	handled++;
	throw std::bad_alloc();
}

struct alignas(256) wide {
	char bytes[300];
};

static void check_failure()
{
	bool caught = false;

	std::set_new_handler(give_up_later);
	try {
		::operator delete(::operator new(huge));
	} catch (const std::bad_alloc &) {
		caught = true;
	}
	CHECK(caught && handled == 3);
	caught = false;
	try {
		::operator delete[](::operator new[](huge, std::align_val_t(64)), std::align_val_t(64));
	} catch (const std::bad_alloc &) {
		caught = true;
	}
	CHECK(caught);
	CHECK(std::get_new_handler() == nullptr);
	CHECK(::operator new(huge, std::nothrow) == nullptr);
	CHECK(::operator new[](huge, std::align_val_t(64), std::nothrow) == nullptr);
	for (std::new_handler handler : {give_up_later, throw_at_once}) {
		handled = 0;
		std::set_new_handler(handler);
		CHECK(::operator new(huge, std::nothrow) == nullptr && handled > 0);
		handled = 0;
		std::set_new_handler(handler);
		CHECK(::operator new[](huge, std::nothrow) == nullptr && handled > 0);
		handled = 0;
		std::set_new_handler(handler);
		CHECK(::operator new(huge, std::align_val_t(64), std::nothrow) == nullptr && handled > 0);
		handled = 0;
		std::set_new_handler(handler);
		CHECK(::operator new[](huge, std::align_val_t(64), std::nothrow) == nullptr && handled > 0);
	}
	std::set_new_handler(nullptr);
}

static void check_forms()
{
	for (std::size_t size = 0; size < 3000; size += 7) {
		void *plain = ::operator new(size);
		void *array = ::operator new[](size, std::nothrow);
		void *aligned = ::operator new(size, std::align_val_t(128));
		CHECK(plain != array && reinterpret_cast<std::uintptr_t>(aligned) % 128 == 0);
		::operator delete(plain, size);
		::operator delete[](array, std::nothrow);
		::operator delete(aligned, size, std::align_val_t(128));
	}
	auto wides = std::make_unique<wide[]>(10);
	CHECK(reinterpret_cast<std::uintptr_t>(wides.get()) % 256 == 0);
}

static void work(unsigned seed, std::size_t *sum)
{
	std::map<std::string, std::vector<int>> index;

	for (unsigned i = 0; i < 40000; i++) {
		seed = seed * 1664525 + 1013904223;
		index["key of some length " + std::to_string(seed % 500)].push_back(int(i));
		if (i % 97 == 0)
			index.erase(index.begin());
	}
	for (const auto &entry : index)
		*sum += entry.second.size();
}

int main()
{
	std::vector<std::thread> threads;
	std::size_t sums[4] = {};

	check_failure();
	check_forms();
	for (auto &sum : sums)
		threads.emplace_back(work, 42, &sum);
	for (auto &thread : threads)
		thread.join();
	CHECK(sums[0] > 0 && sums[0] == sums[1] && sums[1] == sums[2] && sums[2] == sums[3]);
	std::printf("%zu\n", sums[0]);
	return 0;
}
