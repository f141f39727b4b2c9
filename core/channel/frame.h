/* Frames on the wire: encoding, and parsing of what a hostile peer sends.  Pure. */
#ifndef AGENTVM_CHANNEL_FRAME_H
#define AGENTVM_CHANNEL_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "channel/proto.h"

struct frame {
    uint8_t type;
    uint8_t lane;
    uint32_t stream;
    uint32_t len;
    const uint8_t *payload; /* borrowed from the parsed buffer */
};

enum frame_parse {
    FRAME_OK,
    FRAME_MORE,      /* not complete yet */
    FRAME_MALFORMED, /* unknown type, lane, nonzero reserved field or oversize */
};

void frame_encode_header(uint8_t out[FRAME_HEADER], uint8_t type, uint8_t lane, uint32_t stream,
                         uint32_t len);
/* Parses the frame at the start of data.  On FRAME_OK its whole size is FRAME_HEADER + f->len. */
enum frame_parse frame_parse(const void *data, size_t len, struct frame *f);

uint16_t get_u16(const void *p);
uint32_t get_u32(const void *p);
uint64_t get_u64(const void *p);
void put_u16(void *p, uint16_t v);
void put_u32(void *p, uint32_t v);
void put_u64(void *p, uint64_t v);

#endif
