/** The remedy is what people are told to do about a data directory in which something is damaged or missing. */

export const REMEDY: string =
  'Nothing was changed. Put the file back from a copy of the directory as the node left it. The other members serve meanwhile, if they ' +
  'are a majority; with an empty directory this node would be a stranger to them.'
