/* Whether @name@ gives on this machine what it gave where it was made. */
#ifndef @MACRO@_SELF_TEST_H
#define @MACRO@_SELF_TEST_H

#ifdef __cplusplus
extern "C" {
#endif

/* Runs the golden inputs. Returns how many outputs differ; -1 where the golden bytes themselves are damaged. */
int @name@_self_test(void);

/* The first golden input, as @name@_input() takes it, and the class that it must get. */
const void *@name@_golden_input(void);
int @name@_golden_class(void);

#ifdef __cplusplus
}
#endif
#endif
