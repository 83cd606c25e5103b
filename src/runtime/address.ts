/** An address is a host and a port, written `host:port`, with an IPv6 host in brackets. */

import { TroupeError } from '../base/error.ts'

export interface Address {
  /** An IPv4 address, an IPv6 address without its brackets, or a host name. */
  readonly host: string
  readonly port: number
}

const FORM = "'host:port' with an IPv4 address, an IPv6 address in brackets, or a host name, such as '10.0.0.1:7400'"
const SHAPE = /^(?:\[([0-9A-Fa-f:.]+)\]|([^[\]:/\s]+)):(\d{1,5})$/
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/
const LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/

/**
 * Reads `host:port`; port 0 (the system picks a free one) only with `allowPortZero`.
 *
 * @throws TroupeError `ADDRESS_INVALID` with the text and the form that is expected
 */
export function parseAddress(text: string, allowPortZero = false): Address {
  const [, bracketed, plain, digits] = SHAPE.exec(text) ?? []
  const port = Number(digits)
  const host = bracketed === undefined ? plain : canonicalIpv6(bracketed)
  if (host === undefined || (bracketed === undefined && !isIpv4OrName(host))) throw malformed(text, FORM)
  if (port > 65_535 || (port === 0 && !allowPortZero)) {
    throw malformed(text, `a port from ${allowPortZero ? 0 : 1} to 65535`)
  }
  return { host, port }
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Whether only this machine reaches the address. A name other than `localhost` may resolve to anything: it counts as reachable. */
export function isLoopback({ host }: Address): boolean {
  return host === 'localhost' || host === '::1' || (IPV4.test(host) && host.startsWith('127.'))
}

function isIpv4OrName(host: string): boolean {
  if (IPV4.test(host)) return true
  const labels = host.split('.')
  // A name that ends in digits would be a misspelt IPv4 address.
  return host.length <= 253 && labels.every((label) => LABEL.test(label)) && !/^\d+$/.test(labels.at(-1) ?? '')
}

/** In the shortest form, as the URL standard writes it; undefined for what is none. */
function canonicalIpv6(text: string): string | undefined {
  try {
    return new URL(`http://[${text}]`).hostname.slice(1, -1)
  } catch {
    return undefined
  }
}

function malformed(text: string, expected: string): TroupeError {
  return new TroupeError('ADDRESS_INVALID', `'${String(text).slice(0, 300)}' is no address: expected ${expected}`, {
    details: { address: text },
  })
}
