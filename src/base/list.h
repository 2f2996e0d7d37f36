// SPDX-License-Identifier: Apache-2.0
//
// An intrusive doubly linked list. The element derives from ListNode<Tag>; the list owns nothing.
// An element unlinks itself when it dies, so a list never holds a dangling element.
#pragma once

#include <cstddef>

#include "base/assert.h"

namespace weir {

template <class Tag>
class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { unlink(); }

  [[nodiscard]] bool linked() const { return next_ != nullptr; }
  void unlink() {
    if (!linked()) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = nullptr;
  }
  /// Puts `other` in this node's place.
  void replace_by(ListNode& other) {
    WEIR_ASSERT(linked() && !other.linked());
    other.next_ = next_;
    other.prev_ = prev_;
    prev_->next_ = next_->prev_ = &other;
    next_ = prev_ = nullptr;
  }

 private:
  template <class T, class U>
  friend class List;
  ListNode* next_ = nullptr;
  ListNode* prev_ = nullptr;
};

/// T derives from ListNode<Tag>. Elements may unlink themselves at any time but during for_each.
template <class T, class Tag = T>
class List {
  using Node = ListNode<Tag>;

 public:
  List() { head_.next_ = head_.prev_ = &head_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() {
    while (!empty()) front().Node::unlink();
    head_.next_ = head_.prev_ = nullptr;
  }

  [[nodiscard]] bool empty() const { return head_.next_ == &head_; }
  T& front() { return static_cast<T&>(*head_.next_); }
  T& back() { return static_cast<T&>(*head_.prev_); }
  void push_back(T& item) { insert(item, head_.prev_, &head_); }
  void push_front(T& item) { insert(item, &head_, head_.next_); }
  T& pop_front() {
    WEIR_ASSERT(!empty());
    T& item = front();
    static_cast<Node&>(item).unlink();
    return item;
  }
  /// Moves all elements of `other` to the end of this list.
  void append(List& other) {
    while (!other.empty()) push_back(other.pop_front());
  }
  /// Calls visit(T&) for each element; visit may unlink the element that it is given.
  template <class F>
  void for_each(F&& visit) {
    for (Node* n = head_.next_; n != &head_;) {
      Node* next = n->next_;
      visit(static_cast<T&>(*n));
      n = next;
    }
  }

 private:
  void insert(T& item, Node* before, Node* after) {
    Node& node = item;
    WEIR_ASSERT(!node.linked());
    node.prev_ = before;
    node.next_ = after;
    before->next_ = &node;
    after->prev_ = &node;
  }
  Node head_;
};

}  // namespace weir
