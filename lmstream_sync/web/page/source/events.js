/*
 * Server-sent events out of text that comes in pieces.
 * Source: the HTML standard, "Server-sent events" (parsing and interpreting an event stream).
 * Only CR, LF and CRLF end a line there, so U+2028 inside a line is text.
 */
class EventReader {
  /** @param {(event: {type: string, data: string, id: string}) => void} dispatch called for each event, in order */
  constructor(dispatch) {
    this.dispatch = dispatch;
    this.line = ""; // what has come of a line that has not ended
    this.afterCR = false; // a line feed that comes now belongs to the line before
    this.type = "";
    this.data = []; // its lines
    this.id = "";
  }

  /** The next piece; an event is dispatched by the empty line that ends it, so what has none is dropped. */
  feed(text) {
    if (!text) return;
    let at = this.afterCR && text[0] === "\n" ? 1 : 0;
    this.afterCR = text.endsWith("\r");
    for (const end of text.matchAll(/\r\n|\n|\r/g)) {
      if (end.index < at) continue;
      const line = this.line + text.slice(at, end.index);
      this.line = "";
      at = end.index + end[0].length;
      this.takeLine(line);
    }
    this.line += text.slice(at);
  }

  takeLine(line) {
    if (line === "") return this.takeEmptyLine();
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment: a heartbeat
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "data") this.data.push(value);
    else if (name === "event") this.type = value;
    else if (name === "id" && !value.includes("\0")) this.id = value;
    // `retry` is for who connects again; nobody does here.
  }

  takeEmptyLine() {
    const [type, data] = [this.type, this.data];
    this.type = "";
    this.data = [];
    if (data.length) this.dispatch({ type: type || "message", data: data.join("\n"), id: this.id });
  }
}
