/**
 * The way for the body of an answer to break off.
 */
import * as Data from "effect/Data"

/**
 * A stream body that dies with this is cut there: what was sent before arrives, the end of the body never does. Any
 * other defect cuts it with a FIN.
 */
export class Cut extends Data.TaggedError("Cut")<{ readonly end: "fin" | "reset" }> {}
