/** A page is a part of a shard's keys in order, read at one moment. */

import { ByteWriter } from '../../../base/bytes.ts'
import { decodePage, encodeScan, type Page, type ScanQuery } from '../../../machine/command.ts'
import { OPERATION } from '../../../wire/request.ts'
import type { ReadOptions } from '../../contract.ts'
import { Operation, type Verb } from '../route/operation.ts'
import type { Router } from '../route/router.ts'
import { localAnswer, maxAgeOf } from './local.ts'
import { refusal } from './record.ts'

/** The value of its operation is the encoded query. */
const PAGE: Verb<Page> = {
  operation: OPERATION.query,
  isWrite: false,
  encode(writer: ByteWriter, { value }: Operation<Page>): void {
    writer.raw(value)
  },
  decode(bytes: Uint8Array): Page {
    const page = decodePage(bytes)
    if (page.status !== 'ok') throw refusal(page.status, page.revision)
    return page
  },
}

const LOCAL_PAGE: Verb<Page> = {
  operation: OPERATION.localQuery,
  isWrite: false,
  encode(writer: ByteWriter, { value, maxAge }: Operation<Page>): void {
    writer.f64(maxAge)
    writer.raw(value)
  },
  decode(bytes: Uint8Array, operation: Operation<Page>): Page {
    return PAGE.decode(localAnswer(bytes, operation.receipt).reply, operation)
  },
}

export function readPage(router: Router, shard: number, query: ScanQuery, options: ReadOptions): Promise<Page> {
  const writer = new ByteWriter()
  encodeScan(writer, query)
  const maxAge = maxAgeOf(options.read)
  const verb = maxAge < 0 ? PAGE : LOCAL_PAGE
  return router.submit(new Operation(verb, { shard, value: writer.take(0), maxAge }), options)
}
