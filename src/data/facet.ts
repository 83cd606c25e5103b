/** A facet is a part of the driver contract that an engine may lack. */

import { TroupeError } from '../base/error.ts'
import type { Driver } from '../driver/contract.ts'

/** The facet of a driver, or `UNSUPPORTED`. */
export function facetOf<Name extends 'queue' | 'topic' | 'lease'>(
  driver: Driver,
  name: Name,
): NonNullable<Driver[Name]> {
  const facet = driver[name]
  if (facet !== undefined) return facet
  throw new TroupeError('UNSUPPORTED', `the driver '${driver.name}' has no ${name} facet`, {
    details: { driver: driver.name, facet: name },
  })
}
