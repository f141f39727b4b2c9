/* Findings of `agentvm doctor` that need no broken host: texts, memory, certificates, processors.
 */
#include "helpers.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "session/doctor.h"
#include "vm/accel.h"

#define GIB ((uint64_t)1 << 30)

static void assert_finding(const struct findings *f, enum finding_level level, const char *text,
                           const char *fix)
{
    const struct finding *last = &f->v[f->n - 1];

    assert_true(f->n > 0);
    assert_int_equal(last->level, level);
    assert_non_null(strstr(last->text, text));
    if (fix)
        assert_string_equal(last->fix, fix);
    else
        assert_null(last->fix);
}

/* Advice that is a command becomes the fix, other advice a part of the text. */
static void test_errors(void **state)
{
    auto_findings struct findings f = {.check = "test"};
    auto_err struct err e = ERR_INIT;

    (void)state;
    err_set(&e, "it is broken");
    finding_error(&f, FINDING_PROBLEM, NULL, &e);
    assert_finding(&f, FINDING_PROBLEM, "it is broken", NULL);
    err_advise(&e, "run: mend it");
    finding_error(&f, FINDING_PROBLEM, NULL, &e);
    assert_string_equal(f.v[1].text, "it is broken");
    assert_finding(&f, FINDING_PROBLEM, "it is broken", "mend it");
    err_advise(&e, "look for another");
    finding_error(&f, FINDING_WARNING, "buy it", &e);
    assert_finding(&f, FINDING_WARNING, "it is broken; look for another", "buy it");
    assert_string_equal(f.v[2].check, "test");
    assert_int_equal(findings_count(&f, FINDING_PROBLEM), 2);
    assert_int_equal(findings_count(&f, FINDING_OK), 0);
}

/* Whatever is named in it, a finding is one printable line. */
static void test_printable(void **state)
{
    auto_findings struct findings f = {0};

    (void)state;
    finding_add(&f, FINDING_OK, "rm a\nb", "one\ntwo \033[31m\xff");
    assert_finding(&f, FINDING_OK, "one\\ntwo \\x1b[31m\\xff", "rm a\\nb");
}

static void test_memory(void **state)
{
    auto_findings struct findings f = {0};

    (void)state;
    doctor_examine_memory(4 * GIB, 16 * GIB, 8 * GIB, &f);
    assert_finding(&f, FINDING_OK, "4.0G of this host's 16.0G", NULL);
    doctor_examine_memory(4 * GIB, 16 * GIB, 0, &f);
    assert_finding(&f, FINDING_OK, "4.0G", NULL);
    doctor_examine_memory(4 * GIB, 16 * GIB, 3 * GIB, &f);
    assert_finding(&f, FINDING_WARNING, "3.0G are free", "agentvm --memory 1536M");
    doctor_examine_memory(4 * GIB, 2 * GIB, 0, &f);
    assert_finding(&f, FINDING_PROBLEM, "this host has 2.0G", "agentvm --memory 1024M");
    doctor_examine_memory(4 * GIB, GIB / 2, GIB / 4, &f);
    assert_finding(&f, FINDING_PROBLEM, "this host has 0.5G", "agentvm --memory 512M");
}

static void test_meminfo(void **state)
{
    (void)state;
    assert_int_equal(
        doctor_parse_meminfo("MemTotal:       1000 kB\nMemAvailable:    512 kB\nBuffers: 1 kB\n"),
        512 << 10);
    assert_int_equal(doctor_parse_meminfo("MemTotal:       1000 kB\n"), 0);
    assert_int_equal(doctor_parse_meminfo("MemAvailable: much"), 0);
    assert_int_equal(doctor_parse_meminfo(""), 0);
}

static void test_module(void **state)
{
    (void)state;
    assert_string_equal(accel_module("flags\t\t: fpu vmx sse\n"), "kvm_intel");
    assert_string_equal(accel_module("flags\t\t: fpu svm\n"), "kvm_amd");
    assert_null(accel_module("flags\t\t: fpu sse\nvmx flags\t: vnmi\n"));
    assert_null(accel_module("flags\t\t: fpu svm_lock\n"));
    assert_null(accel_module(""));
}

static void put_certificate(const char *folder, const char *name, const char *text)
{
    auto_free char *path = mem_printf("%s/%s", folder, name);

    write_text(path, text);
}

static void test_certificates(void **state)
{
    static const char good[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    auto_findings struct findings f = {0};
    char *folder = scratch_make();
    auto_free char *gone = mem_printf("%s/none", folder);
    auto_free char *dangling = mem_printf("%s/lost.crt", folder);

    (void)state;
    base_examine_certificates(gone, &f);
    assert_finding(&f, FINDING_OK, "0 of this host's own", NULL);
    put_certificate(folder, "a.crt", good);
    put_certificate(folder, "b.crt", good);
    put_certificate(folder, "README", "no certificate");
    base_examine_certificates(folder, &f);
    assert_finding(&f, FINDING_OK, "2 of this host's own", NULL);
    assert_int_equal(f.n, 2);
    put_certificate(folder, "a.crt", "binary");
    put_certificate(folder, "b.crt", "");
    base_examine_certificates(folder, &f);
    assert_int_equal(f.n, 4);
    assert_finding(&f, FINDING_WARNING, "b.crt has no certificate in PEM form", NULL);
    assert_int_equal(symlink("nowhere", dangling), 0);
    base_examine_certificates(folder, &f);
    assert_finding(&f, FINDING_PROBLEM, "lost.crt", NULL);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors), cmocka_unit_test(test_printable),
        cmocka_unit_test(test_memory), cmocka_unit_test(test_meminfo),
        cmocka_unit_test(test_module), cmocka_unit_test(test_certificates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
