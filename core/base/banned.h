/* Included before every source file: names of the C library that invite mistakes do not compile. */
#ifndef AGENTVM_BASE_BANNED_H
#define AGENTVM_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok system popen tmpnam
#pragma GCC poison tempnam mktemp asctime ctime gmtime localtime atoi atol atoll

#endif
