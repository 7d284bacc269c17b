// Making elements. Text of the data only ever becomes text: nothing here reads it as HTML.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes, children);
  return element;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "hue") element.style.setProperty("--hue", value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
}

function byId(id) {
  return document.getElementById(id);
}

// A list of any length: only rows that can be seen are there.
class Rows {
  constructor(box, rowHeight, render) {
    this.box = box;
    this.rowHeight = rowHeight;
    this.render = render;
    this.space = make("div", { class: "space" });
    this.count = 0;
    box.replaceChildren(this.space);
    box.addEventListener("scroll", () => this.update());
    new ResizeObserver(() => this.update()).observe(box);
  }

  show(count) {
    this.count = count;
    this.space.style.height = `${count * this.rowHeight}px`;
    this.update();
  }

  update() {
    const first = Math.max(Math.floor(this.box.scrollTop / this.rowHeight) - 8, 0);
    const last = Math.min(Math.ceil((this.box.scrollTop + this.box.clientHeight) / this.rowHeight) + 8, this.count);
    const rows = [];
    for (let n = first; n < last; n++) {
      const row = this.render(n);
      row.style.top = `${n * this.rowHeight}px`;
      row.style.height = `${this.rowHeight}px`;
      rows.push(row);
    }
    this.space.replaceChildren(...rows);
  }

  reveal(n) {
    const top = n * this.rowHeight;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + this.rowHeight > this.box.scrollTop + this.box.clientHeight)
      this.box.scrollTop = top + this.rowHeight - this.box.clientHeight;
    this.update();
  }
}
