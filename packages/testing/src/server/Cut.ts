/**
 * The way for the body of an answer to break off.
 */
import * as Data from "effect/Data"

/**
 * A stream body that dies with this is cut there: what was sent before arrives, the end of the body never does. Any
 * other defect cuts it with a FIN.
 */
export class Cut extends Data.TaggedError("Cut")<{
  readonly end: "fin" | "reset"
  /** What a stream of HTTP/2 is reset with in place of either: an internal error unless told. */
  readonly http2Code?: number | undefined
}> {}
