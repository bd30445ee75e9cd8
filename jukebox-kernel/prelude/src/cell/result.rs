//! The value of a cell's last line, shown as its result.
//!
//! The kernel turns a last line without semicolon into `show_result!(…)`. What is shown depends on what the type can do: a display
//! of ours, then a tensor, then `Debug`. The choice is made by method resolution, which tries the receiver with the most references
//! first ("autoref specialisation").

use std::fmt::{Debug, Display};

use burn::tensor::Tensor;
use serde_json::{Value, json};

/// Shows the value without taking it: a variable can be used again afterwards.
#[macro_export]
#[doc(hidden)]
macro_rules! show_result {
    ($value:expr) => {
        match &$value {
            value => {
                use $crate::cell::result::{
                    AsDebug as _, AsDisplay as _, AsName as _, AsTensor as _,
                };
                (&&&&$crate::cell::result::Last(value)).show_result();
            }
        }
    };
}

/// The value on the last line.
pub struct Last<'a, T: ?Sized>(pub &'a T);

fn send(data: Value, metadata: Value) {
    super::send(&json!({ "kind": "result", "data": data, "metadata": metadata }));
}

fn send_text(text: &str) {
    send(json!({ "text/plain": text }), json!({}));
}

/// First choice: a display.
pub trait AsDisplay {
    fn show_result(&self);
}

impl<T: jukebox_display::Display> AsDisplay for &&&Last<'_, T> {
    fn show_result(&self) {
        let bundle = self.0.bundle().within_budget();
        send(json!(bundle.data), json!(bundle.metadata));
    }
}

/// Second choice: a tensor, whose `Debug` says nothing about its values.
pub trait AsTensor {
    fn show_result(&self);
}

impl<const D: usize, K> AsTensor for &&Last<'_, Tensor<D, K>>
where
    K: burn::tensor::kind::Basic,
    Tensor<D, K>: Display,
{
    fn show_result(&self) {
        send_text(&self.0.to_string());
    }
}

/// Third choice: whatever has `Debug`. The unit value, which a loop or a call leaves, is no result.
pub trait AsDebug {
    fn show_result(&self);
}

impl<T: Debug + ?Sized> AsDebug for &Last<'_, T> {
    fn show_result(&self) {
        if std::any::type_name::<T>() != "()" {
            send_text(&format!("{:?}", self.0));
        }
    }
}

/// Last choice: the name of the type.
pub trait AsName {
    fn show_result(&self);
}

impl<T: ?Sized> AsName for Last<'_, T> {
    fn show_result(&self) {
        let name = std::any::type_name::<T>();
        send_text(&format!(
            "a value of type {name} (derive Debug to see what is in it)"
        ));
    }
}
