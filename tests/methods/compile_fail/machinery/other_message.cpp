// expect: the sentence we want
static_assert(sizeof(int) == 1, "another sentence");
